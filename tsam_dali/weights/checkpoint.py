"""Checkpoints: tensors, numbers and text only, written atomically, with a SHA-256 next to them."""

import hashlib
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

from pipelines.files.atomic import replacing
from pipelines.files.unicode_names import name_hint

FORMAT = "tsam_dali"


class CheckpointError(ValueError):
    """A checkpoint that is missing, damaged or of another program."""


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write `state` (tensors, numbers, text, lists and dicts of these) to `path`.

    The file appears under its name only when it is complete and on disk; `path`.sha256 holds its digest in the form
    that `sha256sum -c` reads. A run killed at any moment leaves the complete previous file or the complete new one: the
    digests of both are listed until one has replaced the other.
    """
    import torch

    with replacing(path) as temporary:
        torch.save({"format": FORMAT, **state}, temporary)
        digests = [sha256(temporary)]
        _write_digests(path, [*digests, *_digests(path)])
    _write_digests(path, digests)


def copy_checkpoint(source: Path, target: Path) -> None:
    """Keep a checkpoint under another name as well, as safely as `save_checkpoint` writes one.

    A hard link if possible, which takes no time and no space: the file of a checkpoint is never changed.
    """
    digests = _digests(source)
    with replacing(target) as temporary:
        try:
            os.link(source, temporary)
        except OSError:  # a file system without hard links
            shutil.copyfile(source, temporary)
        _write_digests(target, [*digests, *_digests(target)])
    _write_digests(target, digests)


def delete_checkpoint(path: Path) -> None:
    """Delete a checkpoint, its digest first: without it, it does not count as complete."""
    _digest_file(path).unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def load_checkpoint(path: Path, digest_needed: bool = False) -> dict[str, Any]:
    """Read a checkpoint that `save_checkpoint` wrote; tensors arrive on the CPU.

    Args:
        path: the file, or a link to it.
        digest_needed: a file without its digest is an error as well: its run was killed while writing.

    Raises:
        CheckpointError: no such file, a digest that does not match, or another format. No pickled code ever runs.
    """
    if not os.path.isfile(path):
        raise CheckpointError(f"{path}: no such checkpoint{name_hint(path)}")
    check_digest(path, digest_needed)
    import torch  # takes seconds: not before a command has checked its arguments

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes can fail in any way
        raise CheckpointError(f"{path}: damaged, or not a checkpoint; it cannot be read ({_reason(error)})") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise CheckpointError(f"{path}: not a checkpoint of tsam_dali (other weights: --fine_tune reads them)")
    return state


def _reason(error: Exception) -> str:
    if isinstance(error, pickle.UnpicklingError):  # torch's text explains how to run code from the file
        return "it holds other things than tensors, numbers and text"
    return (str(error) or type(error).__name__).splitlines()[0]


def check_digest(path: Path, needed: bool = False) -> None:
    """Compare a file with the digest next to it.

    Raises:
        CheckpointError: they differ, or there is none although it is `needed`.
    """
    file = path.resolve()
    if _digest_file(file).is_file():
        if sha256(file) not in _digests(file):
            raise CheckpointError(f"{path}: damaged, its SHA-256 is not the one in {_digest_file(file).name}")
    elif needed:
        raise CheckpointError(f"{path}: incomplete, {_digest_file(file).name} is missing")


def _write_digests(path: Path, digests: list[str]) -> None:
    with replacing(_digest_file(path)) as temporary:
        temporary.write_bytes(b"".join(os.fsencode(f"{digest}  {path.name}\n") for digest in digests))


def _digests(path: Path) -> list[str]:
    """The digests in the .sha256 file of a checkpoint: one, or two while it is being replaced."""
    lines = _digest_file(path).read_text(errors="replace").splitlines() if _digest_file(path).is_file() else []
    return [line.split(" ")[0] for line in lines]


def _digest_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
