"""Checkpoints: tensors, numbers and text only, written whole or not at all, with a SHA-256 beside them."""

import hashlib
import os
import pickle
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

FORMAT = "tsam_dali"


class CheckpointError(ValueError):
    """A checkpoint that is missing, damaged or not one of ours."""


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write `state` (tensors, numbers, text, lists and dicts of these) to `path`.

    The file appears under its name when it is complete and on the disk; `path`.sha256 holds its digest in the form that
    `sha256sum -c` reads. A run killed at any moment leaves the previous file as it was, or a new one with its digest.
    """
    is_new = not path.exists()
    with replacing(path) as temporary:
        torch.save({"format": FORMAT, **state}, temporary)
        digest = sha256(temporary)
        if is_new:
            _write_digest(path, digest)  # first: the file itself never stands there without it
        else:
            _digest_file(path).unlink(missing_ok=True)  # the old digest must never stand beside the new file
    if not is_new:
        _write_digest(path, digest)


def copy_checkpoint(source: Path, target: Path) -> None:
    """Copy a checkpoint and its digest, as safely as `save_checkpoint` writes one."""
    digest = _digest_file(source).read_text().split()[0]
    with replacing(target) as temporary:
        shutil.copyfile(source, temporary)
        _digest_file(target).unlink(missing_ok=True)
    _write_digest(target, digest)


def delete_checkpoint(path: Path) -> None:
    """Delete a checkpoint; without its digest it no longer counts as whole."""
    _digest_file(path).unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def load_checkpoint(path: Path, digest_needed: bool = False) -> dict[str, Any]:
    """Read a checkpoint that `save_checkpoint` wrote; tensors arrive on the CPU.

    Args:
        path: the file, or a link to it.
        digest_needed: a file without its digest is an error, too; it was being written when its run was killed.

    Raises:
        CheckpointError: no such file, a digest that does not match, or another format. No pickled code ever runs.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint")
    check_digest(path, digest_needed)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes can fail in any way
        raise CheckpointError(
            f"{path}: damaged, or no checkpoint at all; it cannot be read ({_reason(error)})"
        ) from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise CheckpointError(f"{path}: not a checkpoint of tsam_dali (other weights: --fine_tune reads them)")
    return state


def _reason(error: Exception) -> str:
    if isinstance(error, pickle.UnpicklingError):  # torch's text tells how to run what the file holds
        return "it holds something else than tensors, numbers and text"
    return (str(error) or type(error).__name__).splitlines()[0]


def check_digest(path: Path, needed: bool = False) -> None:
    """Compare a file with the digest beside it.

    Raises:
        CheckpointError: they differ, or there is none although it is `needed`.
    """
    digest_file = _digest_file(path.resolve())
    if digest_file.is_file():
        if digest_file.read_text(errors="replace").split()[:1] != [sha256(path)]:
            raise CheckpointError(f"{path}: damaged, its SHA-256 is not the one in {digest_file.name}")
    elif needed:
        raise CheckpointError(f"{path}: not whole, {digest_file.name} is missing")


def _write_digest(path: Path, digest: str) -> None:
    with replacing(_digest_file(path)) as temporary:
        temporary.write_text(f"{digest}  {path.name}\n")


def _digest_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`; what was written there is synced and takes the name `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(path: Path) -> None:
    """Make names that were given in a folder outlast a loss of power."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
