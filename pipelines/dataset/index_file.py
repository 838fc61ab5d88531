"""The file of an index, beside the data: one JSON line for each clip, read by people as well.

Lines are only ever added while a run checks files, each as soon as it is known, so that a killed run loses nothing but
what it was at.
"""

import logging
import os
from array import array
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from pipelines.files.records import Record, append, named_error, open_to_append

log = logging.getLogger(__name__)


class Facts:
    """What clips are made from, of many records: a column for each number, by row of a list of ids."""

    def __init__(self, count: int, prefix: str, endings: list[str]):
        """prefix, endings: what stands before the id in the name of a clip's file, and behind each."""
        self.prefix, self.endings = prefix, endings
        self.frames, self.height, self.width = (array("i", bytes(4 * count)) for _ in range(3))  # 0: faulty
        self.pixel_aspect = array("d", bytes(8 * count))
        self.faulty: dict[int, Record] = {}  # row -> record

    def add(self, row: int, record: Record) -> None:
        """Note the record of a row; a later one replaces it."""
        if record["status"] != "ok":
            self.faulty[row], self.frames[row] = record, 0
            return
        self.faulty.pop(row, None)
        self.frames[row], self.height[row], self.width[row] = record["frames"], record["height"], record["width"]
        self.pixel_aspect[row] = record.get("pixel_aspect", 1.0)  # of JPEG files nothing is known

    def numbers(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """The columns of some rows."""
        return {name: np.asarray(getattr(self, name))[rows] for name in ("frames", "height", "width", "pixel_aspect")}


@contextmanager
def index_writer(path: Path, required: bool = False) -> Iterator[Callable[[Record], None]]:
    """Gives the function that adds a record, which is kept whatever happens to this process afterwards. If the file
    cannot be written, one warning is logged, unless it is `required`.

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
                log.warning("%s: cannot be saved (%s); it will be made again next time", path, error.strerror)
                file = stack.enter_context(open(os.devnull, "wb"))

        yield add
