"""Predictions as JSON lines or CSV."""

import codecs
import csv
import json
from dataclasses import asdict
from typing import Any, TextIO

from tsam_dali.cli.common import printable
from tsam_dali.inference.results import Classes, Moment, Prediction, Timeline, Unreadable

Found = Prediction | Timeline | Moment | Unreadable

FILE = ("path", "rank", "label", "name", "probability", "has_audio", "error")
"""Columns of the CSV, which has a row for each class of a file; rank 1 is the most probable one."""
TIMELINE = ("path", "start", "end", "rank", "label", "name", "probability", "has_audio", "error")
"""Of that for timelines, with a row for each class of a window."""
MOMENT = ("time", "frame", "rank", "label", "name", "probability")
"""Of that for streams, with a row for each class at a time."""


class JsonLines:
    """A line per file or moment with its fields, written as soon as they are known."""

    def __init__(self, file: TextIO, _columns: tuple[str, ...]) -> None:
        self._file = file
        self._escaped = codecs.lookup(file.encoding or "utf-8").name != "utf-8"  # then JSON's own escapes are used

    def write(self, found: Found) -> None:
        print(printable(json.dumps(asdict(found), ensure_ascii=self._escaped)), file=self._file, flush=True)


class Csv:
    """A row per class, or one with the error."""

    def __init__(self, file: TextIO, columns: tuple[str, ...]) -> None:
        self._file = file
        self._rows = csv.DictWriter(file, columns)
        self._rows.writeheader()

    def write(self, found: Found) -> None:
        self._rows.writerows(_rows(found))
        self._file.flush()


def _rows(found: Found) -> list[dict[str, Any]]:
    match found:
        case Unreadable():
            return [asdict(found)]
        case Moment():
            return _ranked(found.classes, {"time": found.time, "frame": found.frame})
        case Prediction():
            return _ranked(found.classes, {"path": found.path, "has_audio": found.has_audio})
    rows: list[dict[str, Any]] = []
    for window in found.windows:
        about = {"path": found.path, "start": window.start, "end": window.end, "has_audio": found.has_audio}
        rows += [about | {"error": window.error}] if window.error else _ranked(window.classes, about)
    return rows


def _ranked(classes: Classes, about: dict[str, Any]) -> list[dict[str, Any]]:
    return [about | {"rank": rank} | asdict(one) for rank, one in enumerate(classes, 1)]
