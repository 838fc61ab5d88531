"""Files, folders and lists -> paths of videos."""

import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path

from pipelines.files.errors import InputError, ListError
from pipelines.files.formats import DEMUXERS
from pipelines.files.text import text_lines
from pipelines.files.unicode_names import name_hint

log = logging.getLogger(__name__)


def find_inputs(arguments: Sequence[str]) -> list[str]:
    """The paths of all videos, each once, in the order of the arguments; those of a folder sorted.

    Args:
        arguments: each is a video, a folder (with all videos in it and in its sub-folders), or a text file with one
            path a line, relative to the folder of the text file. The files of the lines need not exist.

    Raises:
        InputError: naming every argument that is none of these.
    """
    paths: list[str] = []
    problems: list[str] = []
    for argument in arguments:
        try:
            paths += _videos(Path(argument))
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    return list(dict.fromkeys(paths))


def _videos(path: Path) -> list[str]:
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


def _lines(path: Path) -> list[str]:
    texts = [text for _, text in text_lines(path)]
    if None in texts:
        expected = f"a video ({' '.join(DEMUXERS)}), a folder, or a text file with one path a line"
        raise ListError([f"{path}: neither a known video ending nor UTF-8 text; expected {expected}"])
    found = [str(path.parent / text) for text in texts if text and not text.startswith("#")]
    if not found:
        raise ListError([f"{path}: the list is empty; expected one path a line"])
    if all(re.search(r"\s\d+$", text) for text in found):
        expected = "expected one path a line, or give the folder"
        raise ListError([f"{path}: its lines are `ID label`, as for training; {expected}"])
    return found
