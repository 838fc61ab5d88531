"""Predictions as JSON lines or CSV."""

from __future__ import annotations

import codecs
import csv
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TextIO

from tsam_dali.cli.common import printable
from tsam_dali.inference.results import Classes, ClassProbability, Moment, Prediction, Timeline, Unreadable

if TYPE_CHECKING:
    from tsam_dali.training.task import Task

Found = Prediction | Timeline | Moment | Unreadable

FILE = ("path", "rank", "label", "name", "probability", "has_audio", "error")
"""Columns of the CSV, which has a row for each class of a file; rank 1 is the most probable one."""
PIECE = ("path", "start", "end", "rank", "label", "name", "probability", "has_audio", "error")
"""Of that for pieces, and for timelines with a row for each class of a window."""
MOMENT = ("time", "frame", "rank", "label", "name", "probability")
"""Of that for streams, with a row for each class at a time."""


def columns_of(task: Task, columns: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the CSV of a task: numbers have a value and a unit in place of rank, label and probability."""
    if task.kind != "number":
        return columns
    kept = [column for column in columns if column not in ("rank", "label")]
    place = kept.index("probability")
    return (*kept[:place], "value", "unit", *kept[place + 1 :])


class JsonLines:
    """A line per file or moment with its fields, written as soon as they are known."""

    def __init__(self, file: TextIO, _columns: tuple[str, ...], plural: str = "classes") -> None:
        self._file, self._plural = file, plural
        self._escaped = codecs.lookup(file.encoding or "utf-8").name != "utf-8"  # then JSON's own escapes are used

    def write(self, found: Found) -> None:
        record = _renamed(_present(asdict(found)), self._plural)
        print(printable(json.dumps(record, ensure_ascii=self._escaped)), file=self._file, flush=True)


class Csv:
    """A row per class, or one with the error."""

    def __init__(self, file: TextIO, columns: tuple[str, ...], _plural: str = "classes") -> None:
        self._file = file
        self._rows = csv.DictWriter(file, columns)
        self._rows.writeheader()

    def write(self, found: Found) -> None:
        self._rows.writerows(_rows(found))
        self._file.flush()


def _rows(found: Found) -> list[dict[str, Any]]:
    match found:
        case Unreadable():
            return [_present(asdict(found))]
        case Moment():
            return _ranked(found.classes, {"time": found.time, "frame": found.frame})
        case Prediction():
            about = {"path": found.path, "start": found.start, "end": found.end, "has_audio": found.has_audio}
            return _ranked(found.classes, _present(about))
    rows: list[dict[str, Any]] = []
    for window in found.windows:
        about = {"path": found.path, "start": window.start, "end": window.end, "has_audio": found.has_audio}
        rows += [about | {"error": window.error}] if window.error else _ranked(window.classes, about)
    return rows


def _ranked(classes: Classes, about: dict[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for rank, one in enumerate(classes, 1):
        place = {"rank": rank} if isinstance(one, ClassProbability) else {}
        rows.append(about | place | asdict(one))
    return rows


def _present(record: dict[str, Any]) -> dict[str, Any]:
    """Without the times that a whole file does not have."""
    return {key: value for key, value in record.items() if value is not None}


def _renamed(record: Any, plural: str) -> Any:
    """A record in which `classes` have the name of what was predicted."""
    if isinstance(record, dict):
        return {plural if key == "classes" else key: _renamed(value, plural) for key, value in record.items()}
    return [_renamed(one, plural) for one in record] if isinstance(record, list | tuple) else record
