"""A file of records, one JSON object with an `id` a line: what has been found out once about each clip."""

import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from pipelines.clips import InputError

log = logging.getLogger(__name__)

Record = dict[str, Any]


def read_records(path: Path, key: str = "id") -> dict[str, Record]:
    """The latest record of each id, or of another field; empty where there is no file. A line cut short by an
    interruption is ignored.
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


@contextmanager
def record_writer(path: Path) -> Iterator[Callable[[Record], None]]:
    """Gives the function that adds a record to a file; each is on its way to the disk when the function returns.

    Raises:
        InputError: the file cannot be written, for want of rights or space; what was added before is kept.
    """
    with _named_error(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open_to_append(path)

    def write(record: Record) -> None:
        with _named_error(path):
            file.write(encoded(record))

    with file:
        yield write


@contextmanager
def _named_error(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError([f"{path}: cannot be written ({error.strerror}); see its folder and the disk"]) from error


def open_to_append(path: Path) -> BinaryIO:
    """The file of records, without a buffer, at the beginning of a line."""
    file = path.open("ab+", buffering=0)
    if file.tell():
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":  # an interrupted run left half a line
            file.write(b"\n")
    return file


def encoded(record: Record) -> bytes:
    """The line of a record."""
    return json.dumps(record).encode() + b"\n"


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
