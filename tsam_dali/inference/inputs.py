"""Files, folders and lists -> paths of videos, or pieces of them."""

import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path

from pipelines.dataset.list_line import WHOLE, piece_line
from pipelines.files.errors import InputError, ListError
from pipelines.files.formats import DEMUXERS, ENDING_PATTERN
from pipelines.files.text import text_lines
from pipelines.files.unicode_names import name_hint
from tsam_dali.inference.results import Piece

log = logging.getLogger(__name__)

_PIECE = re.compile(rf"(.+?(?:{ENDING_PATTERN}))\s+(\S+)\s+(\S+)", re.IGNORECASE)
_PATH = re.compile(rf".+(?:{ENDING_PATTERN})", re.IGNORECASE)
_MORE = re.compile(rf".+(?:{ENDING_PATTERN})\s.*", re.IGNORECASE)


def find_inputs(arguments: Sequence[str], start: float = 0.0, end: float = WHOLE) -> list[str | Piece]:
    """The paths of all videos, or pieces of them, each once, in the order of the arguments; those of a folder sorted.

    Args:
        arguments: each is a video, a folder (with all videos in it and in its sub-folders), or a text file with one
            `PATH` or `PATH START END` a line, relative to the folder of the text file. The files of the lines need not
            exist.
        start, end: seconds, of the piece that is taken of each video.

    Raises:
        InputError: naming every argument that is none of these, and every line that is wrong.
    """
    paths: list[str | Piece] = []
    problems: list[str] = []
    for argument in arguments:
        try:
            paths += _videos(Path(argument))
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    if Piece("", start, end).is_part:
        if twice := next((path for path in paths if isinstance(path, Piece)), None):
            raise InputError([f"{twice.path}: the list has times of its own: leave out --start and --end"])
        paths = [Piece(str(path), start, end) for path in paths]
    return list(dict.fromkeys(paths))


def _videos(path: Path) -> Sequence[str | Piece]:
    if os.path.isdir(path):
        # Hidden files are not videos: macOS puts a ._NAME beside NAME.
        files = [file for file in path.rglob("*") if not os.path.isdir(file) and not file.name.startswith(".")]
        found = sorted(str(file) for file in files if file.suffix.lower() in DEMUXERS)
        if not found:
            raise InputError([f"{path}: no video in this folder; expected files that end in {' '.join(DEMUXERS)}"])
        if len(found) < len(files):
            rest, endings = len(files) - len(found), " ".join(DEMUXERS)
            log.info("%s: %d videos, %d other files skipped (video endings: %s)", path, len(found), rest, endings)
        return found
    if not os.path.lexists(path):
        raise InputError([f"{path}: no such file or folder{name_hint(path)}"])
    if path.suffix.lower() in DEMUXERS:
        return [str(path)]
    if not os.path.isfile(path):  # opening a FIFO would wait for a writer
        raise InputError([f"{path}: is not a file; streams are read with --live"])
    return _lines(path)


def _lines(path: Path) -> list[str | Piece]:
    lines = list(text_lines(path))
    if any(text is None for _, text in lines):
        expected = f"a video ({' '.join(DEMUXERS)}), a folder, or a text file with one path a line"
        raise ListError([f"{path}: neither a known video ending nor UTF-8 text; expected {expected}"])
    texts = [(number, text) for number, text in lines if text and not text.startswith("#")]
    if not texts:
        raise ListError([f"{path}: the list is empty; expected one path a line"])
    if all(re.search(r"\s\d+$", text) and not _PIECE.fullmatch(text) for _, text in texts):
        expected = "expected one path a line, or give the folder"
        raise ListError([f"{path}: its lines are `ID label`, as for training; {expected}"])
    found, problems = list[str | Piece](), []
    for number, text in texts:
        times = None if _PATH.fullmatch(text) else _PIECE.fullmatch(text)
        try:
            if not times:
                if _MORE.fullmatch(text) and not _PATH.fullmatch(text):
                    raise ValueError(f"expected `PATH` or `PATH START END`, got {text!r}")
                found.append(str(path.parent / text))
                continue
            line = piece_line(*times.groups())
            found.append(Piece(str(path.parent / line.file), line.start, line.end))
        except ValueError as error:
            problems.append(f"{path}:{number}: {error}")
    if problems:
        raise ListError(problems)
    return found
