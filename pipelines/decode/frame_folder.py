"""One folder of extracted frames: how many it holds, of what size, and the files of the wanted ones.

Files are counted from 1, as TSAM's `frames_tmpl` names them; frames are counted from 0, as everywhere else.
"""

import os
import re
import string
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipelines.decode.container import VideoError
from pipelines.decode.jpeg import JpegError, check_jpeg
from pipelines.files.errors import InputError


class FolderInfo(NamedTuple):
    """What the index keeps of a frame folder."""

    frames: int
    height: int  # pixels, of the first frame; the others must have the same
    width: int


def check_template(template: str) -> None:
    """Raise InputError unless `template` names a file by a number, as "{:05d}.jpg" does."""
    try:
        usable = _numbers([template.format(number) for number in (1, 2)], template) == {1, 2}
    except (ValueError, LookupError, AttributeError):
        usable = False
    if not usable or "/" in template:
        raise InputError([f"dataset.frames_tmpl: expected a name with one number, as {{:05d}}.jpg, got {template!r}"])


def probe_folder(folder: str | Path, template: str) -> FolderInfo:
    """Count the frames of a folder and read the size of the first one.

    Raises:
        VideoError: `unreadable`, `empty` (no file has such a name), `gap` (the numbers are not 1, 2, 3, ...) or
            `damaged` (the first frame).
    """
    try:
        names = os.listdir(folder)
    except OSError as error:
        raise VideoError("unreadable", f"{folder}: cannot be read ({error.strerror}); check its permissions") from error
    numbers = _numbers(names, template)
    if not numbers:
        expected = f"expected {template.format(1)}, {template.format(2)}, ... (dataset.frames_tmpl)"
        raise VideoError("empty", f"{folder}: holds no frames, only {len(names)} other files; {expected}")
    if numbers != set(range(1, len(numbers) + 1)):
        raise VideoError("gap", f"{folder}: {_gap(numbers, template)}; extract its frames again")
    _, (height, width) = _read(Path(folder, template.format(1)))
    return FolderInfo(len(numbers), height, width)


def read_frames(
    folder: str | Path, template: str, frames: Collection[int], size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """The JPEG files of the wanted frames, one behind the other, uint8 (bytes,), and where each ends, int32 (S,).

    Raises:
        VideoError: `missing`, `unreadable`, `damaged`, or `changes_size` (a height and width other than `size`).
    """
    files = {}
    for frame in map(int, frames):
        if frame in files:
            continue
        path = Path(folder, template.format(frame + 1))
        files[frame], found = _read(path)
        if found != tuple(size):
            message = f"{path}: {found[0]} x {found[1]} pixels, but the first frame has {size[0]} x {size[1]}"
            raise VideoError("changes_size", f"{message}; extract the frames again")
    ordered = [files[int(frame)] for frame in frames]
    ends = np.cumsum([len(data) for data in ordered]).astype(np.int32)
    return np.frombuffer(b"".join(ordered), np.uint8), ends


def _read(path: Path) -> tuple[bytes, tuple[int, int]]:
    """The content of a JPEG file, and its height and width."""
    if not os.path.isfile(path):  # opening a FIFO would wait for a writer
        raise VideoError("missing", f"{path}: no such file; extract the frames again")
    try:
        data = path.read_bytes()
        return data, check_jpeg(data)
    except OSError as error:
        raise VideoError("unreadable", f"{path}: cannot be read ({error.strerror})") from error
    except JpegError as error:
        raise VideoError("damaged", f"{path}: {error}; extract it again or leave the clip out of the list") from error


def _pattern(template: str) -> re.Pattern:
    """A pattern whose only group is the number in a file's name."""
    parts = list(string.Formatter().parse(template))
    if sum(field is not None for _, field, _, _ in parts) != 1:
        raise ValueError("expected one number")
    return re.compile("".join(re.escape(text) + ("" if field is None else "([0-9]+)") for text, field, _, _ in parts))


def _numbers(names: Sequence[str], template: str) -> set[int]:
    """The numbers of the files that are frames."""
    matches = filter(None, map(_pattern(template).fullmatch, names))
    return {int(match[1]) for match in matches if template.format(int(match[1])) == match[0]}


def _gap(numbers: set[int], template: str) -> str:
    if 0 in numbers:
        return f"its frames must be counted from 1, but there is {template.format(0)}"
    missing = min(set(range(1, len(numbers) + 1)) - numbers)
    return f"frame {template.format(missing)} is missing, but there is {template.format(max(numbers))}"
