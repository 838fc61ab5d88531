"""Lists of paths with a number: mmaction2's and SlowFast's `path label`, TSM's `path n_frames label`."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from pipelines.lists.rows import Listing, Row, without_ending
from pipelines.media_files import DEMUXERS


@dataclass(frozen=True, kw_only=True)
class PathOptions:
    """How paths and numbers of a list are meant."""

    root: Path
    """Folder of the clips, to which ids are relative."""
    delimiter: str = ""
    """What parts the fields; "" for what stands before the number of the first line, white space or , or ;."""
    strip: str = ""
    """Leading folder to cut from the paths."""
    first_label: int = 0
    """Number of the first class."""


def read_paths(path: Path, options: PathOptions) -> Listing:
    """`path label`."""
    return _read(path, options, _one_label)


def read_tsm(path: Path, options: PathOptions) -> Listing:
    """`path n_frames label`; the number of frames is not needed."""
    return _read(path, options, _label_after_frames)


def _read(path: Path, options: PathOptions, label_of: Callable[[list[str]], str]) -> Listing:
    listing, split_line = Listing(), None
    for where, text in listing.lines(path):
        if text.startswith("#"):
            continue
        split_line = split_line or partial(_split_line, delimiter=options.delimiter or guess_delimiter(text))
        try:
            name, fields = split_line(text)
            label = _label(label_of(fields), options.first_label)
            listing.rows.append(Row(where, _relative(name, options), label))
        except ValueError as error:
            listing.problems.append(f"{where}: {error}")
    return listing


def guess_delimiter(text: str) -> str:
    """What stands before the number at the end of a line: `,` or `;`, or else a space for white space."""
    found = re.search(r"\s*([,;])\s*\S+$", text)
    return found[1] if found else " "


def _split_line(text: str, delimiter: str) -> tuple[str, list[str]]:
    """A line -> (path, fields after it). The path may hold the delimiter if it is quoted or has a video ending."""
    gap = r"\s+" if delimiter.isspace() else rf"\s*{re.escape(delimiter)}\s*"
    endings = "|".join(re.escape(ending) for ending in DEMUXERS)
    for pattern in (
        rf'"(?P<path>(?:[^"]|"")*)"{gap}(?P<rest>.*)',
        rf"(?P<path>.*(?:{endings})){gap}(?P<rest>.*)",
        rf"(?P<path>.*?\S){gap}(?P<rest>-?\d+(?:{gap}-?\d+)*)",  # no ending: all numbers at the end are fields
        rf"(?P<path>.*){gap}(?P<rest>.*)",
    ):
        found = re.fullmatch(pattern, text, re.IGNORECASE)
        if found:
            path = found["path"].replace('""', '"') if text.startswith('"') else found["path"]
            return path, re.split(gap, found["rest"])
    raise ValueError(f"expected a path, {delimiter!r} and a label, got {text!r}; see --delimiter")


def _one_label(fields: list[str]) -> str:
    if len(fields) == 1:
        return fields[0]
    if all(field.removeprefix("-").isdecimal() for field in fields):
        raise ValueError(
            f"several labels or numbers ({', '.join(fields)}); a clip has one class here "
            "(if they are the number of frames and the label: --format tsm)"
        )
    raise ValueError(f"expected one label after the path, got {' '.join(fields)!r}")


def _label_after_frames(fields: list[str]) -> str:
    if len(fields) == 2:
        return fields[1]
    raise ValueError(f"expected `path n_frames label` with one label, got {' '.join(fields)!r} after the path")


def _label(text: str, first: int) -> str:
    if re.fullmatch(r"-\d+", text, re.ASCII):
        raise ValueError(f"the label is negative: {text}; lists of a test set often stand for `unknown` so")
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
        raise ValueError(f"the label must be a whole number from {first}, got {text!r}")
    if int(text) < first:
        raise ValueError(f"label {text} is below the first label, {first} (--first_label)")
    return str(int(text) - first)


def _relative(path: str, options: PathOptions) -> str:
    """The id that a path means: without --strip and the clips' folder before it, without its ending."""
    name = PurePosixPath(path)
    for folder in (options.strip, os.path.abspath(options.root)):
        if folder and name.is_relative_to(folder):
            name = name.relative_to(folder)
    if name.is_absolute() or ".." in name.parts:
        raise ValueError(f"the path leaves the folder of the clips, {options.root}: {path!r}; see --strip")
    return without_ending(str(name))
