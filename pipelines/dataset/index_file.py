"""The file of an index, beside the data: one JSON line for each clip, read by people as well.

Lines are only ever added while a run checks files, each as soon as it is known, so that a killed run loses nothing but
what it was at.
"""

import logging
import os
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from math import inf
from pathlib import Path

import numpy as np

from pipelines.dataset.list_line import WHOLE
from pipelines.decode.timestamps import clock_times, shown_until
from pipelines.files.records import Record, append, named_error, open_to_append
from pipelines.sampling.dense import mean_rate, packed_times

log = logging.getLogger(__name__)

_NUMBERS = ("frames", "height", "width", "pixel_aspect")
ROUNDING = 1e-6
SLACK = 0.5
"""Seconds by which a piece may end behind its file without a warning: lists often round."""


class Facts:
    """What clips are made from, of many records: a column for each number, by row of a list of ids."""

    def __init__(self, count: int, prefix: str, endings: list[str], timed: bool = False, dense: bool = False):
        """prefix, endings: what stands before the id in the name of a clip's file, and behind each. timed: keep when
        the frames are shown. dense: keep what dense sampling must know."""
        self.timed, self.dense = timed, dense
        self.prefix, self.endings = prefix, endings
        self.frames, self.height, self.width = (array("i", bytes(4 * count)) for _ in range(3))  # 0: faulty
        self.pixel_aspect = array("d", bytes(8 * count))
        self.rate, self.audio_start = (array("d", bytes(8 * count if dense else 0)) for _ in range(2))
        self.times: dict[int, str] = {}  # row -> those of the frames, packed, where their rate varies
        self.clocks: dict[int, str] = {}  # row -> when each frame is shown, where that is known
        self.faulty: dict[int, Record] = {}  # row -> record

    def add(self, row: int, record: Record) -> None:
        """Note the record of a row; a later one replaces it."""
        if record["status"] != "ok":
            self.faulty[row], self.frames[row] = record, 0
            return
        self.faulty.pop(row, None)
        self.frames[row], self.height[row], self.width[row] = record["frames"], record["height"], record["width"]
        self.pixel_aspect[row] = record.get("pixel_aspect", 1.0)  # of JPEG files nothing is known
        if self.timed and "clock" in record:
            self.clocks[row] = record["clock"]
        if self.dense:
            self.rate[row] = record.get("rate") or record.get("fps", 0.0)
            self.audio_start[row] = record.get("audio_start", 0.0)
            self.times.pop(row, None)
            if "frame_times" in record:
                self.times[row] = record["frame_times"]

    def numbers(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """The columns of some rows."""
        return {name: np.asarray(getattr(self, name))[rows] for name in _NUMBERS}

    def places(self, rows: np.ndarray) -> dict[str, np.ndarray] | None:
        """What `pipelines.dataset.clip_columns` keeps of some pieces, or clips that are sampled densely; None of
        others."""
        if not self.dense:
            return None
        return {"end": np.full(len(rows), WHOLE), **self._dense_numbers(rows)}

    def _dense_numbers(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        return {name: np.asarray(getattr(self, name))[rows] for name in ("rate", "audio_start")}

    def part(self, row: int) -> tuple[float, float] | None:
        """Start and end of a clip that is a piece of a file, in seconds on its clock."""
        return None


class PieceFacts(Facts):
    """The same with a row for each piece of a file."""

    def __init__(
        self,
        files: Facts,
        rows: Sequence[int],
        spans: Sequence[tuple[float, float]],
        places: Sequence[str],
    ):
        """
        Args:
            files: of the files, with their clocks.
            rows: of the file of each piece.
            spans: start and end of each piece, in seconds on the clock of its file.
            places: where each is listed, for messages.
        """
        super().__init__(len(rows), files.prefix, [files.endings[row] for row in rows], dense=files.dense)
        for name in _NUMBERS:
            column = getattr(files, name)
            setattr(self, name, array(column.typecode, (column[row] for row in rows)))
        self.first = array("i", bytes(4 * len(rows)))  # number of the first frame
        self.beyond: dict[int, str] = {}  # rows of pieces that end behind their files -> a message
        self._spans, self._places, self._files = spans, places, files
        rows_of: dict[int, list[int]] = {}
        for row, file in enumerate(rows):
            rows_of.setdefault(file, []).append(row)
        for file, pieces in rows_of.items():
            if file in files.faulty:
                self.faulty |= dict.fromkeys(pieces, files.faulty[file])
                continue
            try:
                self._choose(file, pieces, clock_times(files.clocks[file]))
            except ValueError as error:
                reason = f"{self._places[pieces[0]]}: {error} in the index; remove the line of the file there"
                for row in pieces:
                    self.frames[row], self.faulty[row] = 0, {"status": "damaged_index", "reason": reason}

    def part(self, row: int) -> tuple[float, float] | None:
        return None if self._spans[row][1] == inf else self._spans[row]

    def places(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        spans = np.array(self._spans)[rows].reshape(-1, 2)
        places = {"first": np.asarray(self.first)[rows], "start": spans[:, 0], "end": spans[:, 1]}
        return places | (self._dense_numbers(rows) if self.dense else {})

    def _choose(self, file: int, rows: Sequence[int], times: np.ndarray) -> None:
        """Note which frames of a file belong to each of its pieces: those that begin in it. times: of all, growing."""
        spans = [self._spans[row] for row in rows]
        # A time may be a rounding away from the start of a piece. Of a whole file all frames count.
        starts = [-inf if end == inf else start - ROUNDING for start, end in spans]
        firsts = np.searchsorted(times, starts).tolist()
        stops = np.searchsorted(times, [end - ROUNDING for _, end in spans]).tolist()
        last = shown_until(times)
        shown = f"the frames of the file are shown from {times[0]:.3f} to {last:.3f} s"
        for row, first, stop, (start, end) in zip(rows, firsts, stops, spans, strict=True):
            self.first[row], self.frames[row] = first, stop - first
            if first < stop and self.dense:
                self._note_rate(file, row, times[first : stop + 1])
            if first == stop:
                reason = f"{self._places[row]}: no frame begins from {start:g} to {end:g} s; {shown}"
                self.faulty[row] = {"status": "outside", "reason": reason}
            elif last + SLACK < end < inf:
                self.beyond[row] = f"{self._places[row]}: ends at {end:g} s; {shown}"

    def _note_rate(self, file: int, row: int, times: np.ndarray) -> None:
        """What dense sampling must know of a piece. times: of its frames and, unless the file ends there, the next."""
        files, count = self._files, self.frames[row]
        whole = self._spans[row][1] == inf
        self.rate[row] = files.rate[file]
        # The audio of a piece is stored from the start of the piece on, where there is any.
        self.audio_start[row] = files.audio_start[file] if whole else self._spans[row][0] - times[0]
        if file in files.times:
            self.times[row] = packed_times(times[:count])
            self.rate[row] = mean_rate(times[:count], times[count] if len(times) > count else None) or files.rate[file]


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
