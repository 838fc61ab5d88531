"""The file of the index: one JSON object a line for each video. Lines are added as they come; the last one counts."""

import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from pipelines.record_file import Record, write_records

log = logging.getLogger(__name__)


def read_index(path: Path) -> dict[str, Record]:
    """The latest record of each file (relative to data_dir); empty where there is no index.

    Damaged lines, of which an interruption leaves one at most, are left out with a warning.
    """
    records, damaged = _read(path)
    if damaged:
        log.warning("%s: %d damaged lines are ignored (the last is line %d)", path, len(damaged), damaged[-1])
    return records


def _read(path: Path) -> tuple[dict[str, Record], list[int]]:
    """The records, and the numbers of damaged lines."""
    try:
        lines = path.read_bytes().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return {}, []
    try:
        records = json.loads(f"[{','.join(lines)}]")  # at once: half the time of one by one
        return {record["file"]: record for record in records}, []
    except (ValueError, KeyError, TypeError):
        return _read_one_by_one(lines)


def _read_one_by_one(lines: list[str]) -> tuple[dict[str, Record], list[int]]:
    records, damaged = {}, []
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            records[record["file"]] = record
        except (ValueError, KeyError, TypeError):
            damaged.append(number)
    return records, damaged


@contextmanager
def index_writer(path: Path) -> Iterator[Callable[[Record], None]]:
    """Gives the function that adds a record, which stays whatever happens to this process afterwards. Where the file
    cannot be written, one warning is all there is.
    """
    with ExitStack() as stack:
        file = None

        def add(record: Record) -> None:
            nonlocal file
            try:
                file = file or stack.enter_context(_open_to_append(path))
                file.write(json.dumps(record).encode() + b"\n")
            except OSError as error:
                log.warning("%s: cannot be kept (%s); it will be made again next time", path, error.strerror)
                file = stack.enter_context(open(os.devnull, "wb"))

        yield add


def compact_index(path: Path) -> None:
    """Take out the lines that later ones replace, and damaged ones."""
    if path.is_file():
        write_records(path, _read(path)[0].values())


def _open_to_append(path: Path) -> BinaryIO:
    file = path.open("ab+", buffering=0)
    if file.tell():
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":  # an interrupted run left half a line
            file.write(b"\n")
    return file
