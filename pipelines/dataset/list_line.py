"""One line of a list: `ID TARGET`, or `ID START END TARGET` for a piece of a file. Times are seconds on its clock."""

import math
import posixpath
import re
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

WHOLE = math.inf
"""End of a clip that is all of its file."""
_HEADER = re.compile(r"id\s+(start\s+end\s+)?(?:label|labels|target|number|numbers)", re.IGNORECASE)
_LIKE_TIME = r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+|nan|inf)"
_LIKE_PIECE = re.compile(rf"\S.*\s{_LIKE_TIME}\s+{_LIKE_TIME}\s+\S+", re.IGNORECASE)
_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]*)?|\.[0-9]+")


class Line(NamedTuple):
    """What a line says."""

    file: str  # id of the file
    target: str
    start: float = 0.0
    end: float = WHOLE

    @property
    def id(self) -> str:
        """Of the clip."""
        return clip_id(self.file, self.start, self.end)


def clip_id(file: str, start: float, end: float) -> str:
    """The id of a file, or of a piece of it: `abc 12.5 22.5`."""
    return file if end == WHOLE else f"{file} {_seconds(start)} {_seconds(end)}"


def _seconds(time: float) -> str:
    text = f"{time:.10g}"
    return text if "e" not in text else f"{time:.10f}".rstrip("0").rstrip(".")  # as lists have it, not 1e-05


def file_of(clip: str, end: float) -> str:
    """The id of the file of a clip with this id and end."""
    return clip if end == WHOLE else clip.rsplit(" ", 2)[0]


def list_header(lines: Iterable[str], pieces: bool) -> str:
    """The line that a list begins with: of pieces, or of whole files where ids end in numbers; empty elsewhere."""
    if pieces:
        return "id start end label\n"
    return "id label\n" if any(map(_LIKE_PIECE.fullmatch, lines)) else ""


class Form:
    """Whether the lines of a list hold times. The header says so, or else the first line."""

    def __init__(self) -> None:
        self.timed: bool | None = None  # None: no line yet
        self._of = ""  # what decided

    def is_header(self, text: str, number: int) -> bool:
        """Whether this line, if it is the first, names the columns.

        Raises:
            ValueError: it seems to, but they are others.
        """
        if self.timed is not None:
            return False
        header = _HEADER.fullmatch(text)
        self.timed = bool(header[1] if header else _LIKE_PIECE.fullmatch(text))
        self._of = "the header" if header else f"line {number}"
        if not header and re.fullmatch(r"id(\s+[a-z_]+)+", text, re.IGNORECASE):
            raise ValueError(f"expected the header `id label` or `id start end label`, got {text!r}")
        return bool(header)

    def split(self, text: str) -> Line:
        """The parts of a line.

        Raises:
            ValueError: what is wrong with it.
        """
        if self.timed:
            return self._piece(text)
        parts = text.rsplit(None, 1)
        if len(parts) != 2:
            raise ValueError(f"expected `ID label`, got {text!r}")
        if self._of != "the header" and _LIKE_PIECE.fullmatch(text):
            raise ValueError(
                f"has times, but {self._of} has none: {text!r}; a list holds pieces (`ID START END label`) or whole "
                "files, or, if these ids end in numbers, begins with the header `id label`"
            )
        return Line(parts[0], parts[1])

    def _piece(self, text: str) -> Line:
        parts = text.rsplit(None, 3)
        if len(parts) != 4:
            raise ValueError(f"expected `ID START END label`, as {self._of} has times, got {text!r}")
        file, start, end, target = parts
        return piece_line(file, start, end, target)


def piece_line(file: str, start: str, end: str, target: str = "") -> Line:
    """The line of a piece.

    Raises:
        ValueError: what is wrong with its times.
    """
    for name, time in (("start", start), ("end", end)):
        if not _SECONDS.fullmatch(time):
            raise ValueError(f"the {name} must be in seconds from 0, such as 12.5, got {time!r}")
    if float(end) <= float(start):
        raise ValueError(f"the end, {end} s, must lie behind the start, {start} s")
    return Line(file, target, float(start), float(end))


def id_problem(clip_id: str) -> str | None:
    """Why an id cannot stand in a list, or None."""
    if not clip_id.isprintable():
        control = any(unicodedata.category(character) == "Cc" for character in clip_id)
        return f"the id holds {'control characters' if control else 'invisible characters or odd spaces'}: {clip_id!r}"
    if not clip_id or clip_id != clip_id.strip() or clip_id.startswith("#"):
        return f"an id must not be empty, begin with # or begin or end with a space: {clip_id!r}"
    if clip_id.startswith(("/", "~")) or ".." in clip_id.split("/"):
        return f"the id leaves the data folder: {clip_id!r}"
    if not {"", "."}.isdisjoint(clip_id.split("/")):  # two names of one file would count as two clips
        return f"the id holds an empty part or '.': {clip_id!r}; write {posixpath.normpath(clip_id)!r}"
    return None
