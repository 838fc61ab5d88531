"""Predictions as JSON lines or CSV."""

import csv
import json
from dataclasses import asdict
from typing import Any, TextIO

from tsam_dali.predictor import Prediction, Unreadable

COLUMNS = ("path", "rank", "label", "name", "probability", "has_sound", "error")
"""Of the CSV, which has a row for each class of a file; rank 1 is the most probable one."""


class JsonLines:
    """A line per file: the fields of `Prediction` or of `Unreadable`. Each is there as soon as it is known."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, found: Prediction | Unreadable) -> None:
        print(json.dumps(asdict(found), ensure_ascii=False), file=self._file, flush=True)


class Csv:
    """A row per class of a file, or one with the error."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._rows = csv.DictWriter(file, COLUMNS)
        self._rows.writeheader()

    def write(self, found: Prediction | Unreadable) -> None:
        self._rows.writerows(_rows(found))
        self._file.flush()


def _rows(found: Prediction | Unreadable) -> list[dict[str, Any]]:
    if isinstance(found, Unreadable):
        return [asdict(found)]
    about = {"path": found.path, "has_sound": found.has_sound}
    return [about | {"rank": rank} | asdict(one) for rank, one in enumerate(found.classes, 1)]
