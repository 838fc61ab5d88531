"""A file of records, one JSON object with an `id` a line: what is known about each clip.

Runs that share the clips (`pipelines.files.shard`) write a part file each; whoever reads the file reads its parts, too,
and a run of all clips puts them together.
"""

import errno
import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from itertools import islice
from math import inf
from operator import itemgetter
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

from pipelines.files.atomic import temporary_path
from pipelines.files.errors import InputError
from pipelines.files.shard import Shard, part_files

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

log = logging.getLogger(__name__)

Record = dict[str, Any]
Key = tuple[str, ...]
"""Fields that identify a record: of several with the same values, the latest counts."""
LINES_AT_ONCE = 1000
NO_JSON = (ValueError, RecursionError)  # the latter where brackets nest too deep
LARGEST = {"frames": 10**8, "height": 2**16, "width": 2**16}  # of a clip that can be read


def read_records(path: Path, key: Key = ("id",), whole: Callable[[Any], bool] = bool) -> dict[Any, Record]:
    """The latest record of each id, or of other fields, in the file and its parts, the latest last; empty where there
    is none. A line that was cut short by an interruption, or is not `whole`, is ignored.
    """
    records: dict[Any, Record] = {}
    key_of = itemgetter(*key)
    for record in each_record(path, key, whole):
        records.pop(key_of(record), None)
        records[key_of(record)] = record
    return records


def each_record(path: Path, key: Key = ("id",), whole: Callable[[Any], bool] = bool) -> Iterator[Record]:
    """The records of the file and its parts, one after the other, the latest of a key last."""
    for file in (path, *part_files(path)):
        yield from filter(None, _each_line(file, key, whole))


def is_whole(record: Any) -> bool:
    """Whether the record of an index has what clips are made from: a size, the shape of its pixels and a number of
    frames, or a reason.

    Raises:
        KeyError, TypeError: it has not.
    """
    if record["status"] != "ok":
        return isinstance(record["status"], str) and isinstance(record["reason"], str)
    for name, largest in LARGEST.items():
        if type(record[name]) is not int or not 0 < record[name] <= largest:
            return False
    return 0 < record.get("pixel_aspect", 1.0) < inf


def _each_line(path: Path, key: Key, whole: Callable[[Any], bool] = bool) -> Iterator[Record | None]:
    """The record of each line; None for one that is damaged, of which a warning is logged."""
    key_of = itemgetter(*key)
    if path.is_file():
        with path.open(encoding="utf-8", errors="replace", newline="\n") as lines:
            while some := list(islice(lines, LINES_AT_ONCE)):
                for record in _decoded(some):
                    try:
                        usable = whole(record)
                        hash(key_of(record))
                    except (KeyError, TypeError):
                        usable = False
                    if not usable:
                        log.warning("%s: a damaged line is ignored; its clip is checked again", path)
                    yield record if usable else None


def _decoded(lines: list[str]) -> list[Any]:
    """What each line says; None for what is no JSON. Lines that are read together share the names of their fields, in
    memory the larger part of a record.
    """
    with suppress(*NO_JSON):
        values = json.loads(f"[{','.join(lines)}]")
        if len(values) == len(lines):
            return values
    values = []
    for line in lines:
        try:
            values.append(json.loads(line))
        except NO_JSON:
            values.append(None)
    return values


@contextmanager
def record_writer(path: Path, shard: Shard | None = None, key: Key = ("id",)) -> Iterator[Callable[[Record], None]]:
    """Gives the function that adds a record to a file, or to its part for a shard; each is on its way to the disk when
    the function returns. `key` as for `read_records`.

    Raises:
        InputError: the file cannot be written, as permissions or space are missing; what was added before is kept.
    """
    with named_error(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if shard is None:
            merge_parts(path, key)
        file = open_to_append(shard.part(path) if shard else path)

    def write(record: Record) -> None:
        with named_error(path):
            append(file, record)

    with file:
        yield write


@contextmanager
def named_error(path: Path) -> Iterator[None]:
    """Raise InputError where a file of records cannot be written."""
    try:
        yield
    except OSError as error:
        raise InputError([f"{path}: cannot be written ({error.strerror}); see its folder and the disk"]) from error


def merge_parts(path: Path, key: Key = ("id",)) -> None:
    """Put the part files into the file, but not those that a run still adds to."""
    for part in part_files(path):
        try:
            file = part.open("rb+")  # NFS locks nothing against others that is not open for writing
        except FileNotFoundError:  # another run has put it into the file
            continue
        with file:
            try:
                _flock(file, exclusive=True)
            except OSError:  # in use; or a file system without locks, on which parts stay what they are
                continue
            with open_to_append(path) as whole:
                whole.writelines(map(encoded, filter(None, _each_line(part, key))))
            part.unlink()


def lock(file: BinaryIO) -> bool:
    """Keep other runs from adding to a file, opened for writing, until it is closed; False: one adds to it already.

    On a file system without locks no other run is noticed.
    """
    with suppress(OSError):
        try:
            _flock(file, exclusive=True)
        except BlockingIOError:
            return False
    return True


def _flock(file: BinaryIO, exclusive: bool) -> None:
    """Mark a file as in use, or, without waiting, as one that nobody else uses.

    Raises:
        OSError: it is in use, or there are no locks.
    """
    if fcntl is None:
        _tell_of_no_locks()
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB if exclusive else fcntl.LOCK_SH)


@cache
def _tell_of_no_locks() -> None:
    log.warning("this system has no file locks: let only one program at a time write to an index or a store")


def open_to_append(path: Path) -> BinaryIO:
    """The file of records, without a buffer, at the beginning of a line; marked as one that is added to."""
    for _ in range(10):  # another run may put a new file into its place before it is marked
        file = path.open("ab+", buffering=0)
        with suppress(OSError):
            _flock(file, exclusive=False)
        with suppress(OSError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                break
    if file.tell():
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":  # an interrupted run left half a line
            file.write(b"\n")
    return file


def append(file: BinaryIO, record: Record) -> None:
    """Add a record to a file that has no buffer."""
    line = encoded(record)
    if file.write(line) < len(line):  # the disk had room for a part of the line only
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def encoded(record: Record) -> bytes:
    """The line of a record."""
    return json.dumps(record).encode() + b"\n"


def compact_records(path: Path, key: Key, whole: Callable[[Any], bool]) -> None:
    """Remove lines that later ones replace, and damaged ones; not while another run adds to the file, whose further
    lines would be lost with the old one. If the file cannot be written, a warning is logged.
    """
    if not (path.is_file() and os.access(path, os.W_OK)):
        return
    key_of, last, count = itemgetter(*key), {}, 0  # last: key -> number of its latest line
    with path.open("rb+") as file:
        if not lock(file):
            return
        for number, record in enumerate(_each_line(path, key, whole)):
            count = number + 1
            if record is not None:
                last[key_of(record)] = number
        if len(last) == count:
            return
        kept = set(last.values())
        try:
            with temporary_path(path) as temporary:
                with temporary.open("wb") as new:
                    new.writelines(line for number, line in enumerate(file) if number in kept)
                os.replace(temporary, path)
        except OSError as error:
            log.warning("%s: cannot be saved (%s); it will be made again next time", path, error.strerror)
