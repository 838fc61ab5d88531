"""A file of records, one JSON object with an `id` a line: what has been found out once about each clip."""

import json
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

Record = dict[str, Any]


def read_records(path: Path, key: str = "id") -> dict[str, Record]:
    """The records by id (or another field); of those with the same one, the last counts. Empty where there is no file.
    A line cut short by an interruption is ignored.
    """
    records = {}
    if path.is_file():
        with path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                try:
                    record = json.loads(line)
                    records[record[key]] = record
                except (ValueError, KeyError, TypeError):
                    log.warning("%s: a damaged line is ignored; its clip is looked at again", path)
    return records


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Write the file as a whole or not at all; where that cannot be, a warning is all there is."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(record) + "\n" for record in records)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        log.warning("%s: cannot be kept (%s); it will be made again next time", path, error.strerror)
