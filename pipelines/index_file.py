"""The file of the index: one JSON object a line for each video. Lines are added as they come; the last one counts."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from pipelines.files.records import (
    Record,
    append,
    in_use,
    is_whole,
    merge_parts,
    named_error,
    open_to_append,
    read_records,
    write_records,
)

log = logging.getLogger(__name__)


def read_index(path: Path) -> dict[str, Record]:
    """The latest record of each file, by its name relative to data_dir; empty where there is no index."""
    return read_records(path, ("file",), is_whole)


@contextmanager
def index_writer(path: Path, required: bool = False) -> Iterator[Callable[[Record], None]]:
    """Gives the function that adds a record, which stays whatever happens to this process afterwards. Where the file
    cannot be written, one warning is all there is, unless it is `required`.

    Raises:
        InputError: it is required, and cannot be written.
    """
    with ExitStack() as stack:
        file = None

        def add(record: Record) -> None:
            nonlocal file
            try:
                file = file or stack.enter_context(open_to_append(path))
                append(file, record)
            except OSError as error:
                if required:
                    with named_error(path):
                        raise
                log.warning("%s: cannot be kept (%s); it will be made again next time", path, error.strerror)
                file = stack.enter_context(open(os.devnull, "wb"))

        yield add


def take_in_parts(path: Path) -> None:
    """Put what shards have found into the index itself; where that cannot be written, it stays in their files."""
    with suppress(OSError):
        merge_parts(path, ("file",))


def compact_index(path: Path) -> None:
    """Take out the lines that later ones replace, and damaged ones; not while another run adds to the file, whose
    further lines would be lost with the old one.
    """
    if path.is_file() and os.access(path, os.W_OK):
        with path.open("rb+") as file:
            if not in_use(file):
                write_records(path, read_index(path).values())
