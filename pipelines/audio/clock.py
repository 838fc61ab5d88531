"""An audio track on the clock of its file: every sample at its time, and silence where nothing was recorded."""

import re
from collections import deque
from collections.abc import Mapping

import numpy as np

from pipelines.audio.decode import Piece

TOLERANCE = 0.1
"""Seconds by which the times of a file may differ from its count of samples: Matroska and others round them, and clocks
drift. What comes so early or late still follows what was before."""
RESTART = 1.0
"""Seconds. Audio that is said to begin so long before the end of what has come is no overlap, but a clock that was
reset: the rest is joined."""


BEGINS = "begins at {} s of the original"
"""Description in the file of a training copy whose clock begins later than that of its original."""


def copy_start(metadata: Mapping[str, str]) -> float:
    """When a file begins on the clock of its original, in seconds; 0 where it is no copy of one that begins later."""
    found = re.fullmatch(BEGINS.format(r"(-?[0-9.]+)"), metadata.get("description", ""))
    return float(found[1]) if found else 0.0


class Tape:
    """The latest part of an audio track. Times are seconds on the clock of the file."""

    def __init__(self) -> None:
        self.rate = 0  # samples per second; 0: nothing has come
        self.start = self.end = 0.0  # of what has come, also of what is forgotten
        self._pieces: deque[tuple[int, np.ndarray]] = deque()  # number of the first sample from time 0, samples
        self._stop = 0  # number of the sample behind the last
        self._shift = 0  # samples by which the clock was reset
        self._channels = 1

    def add(self, piece: Piece) -> None:
        """The next piece of the audio."""
        samples, at = piece.samples, self._stop
        if piece.time is not None:
            at = round(piece.time * piece.rate) + self._shift
        if not self.rate:
            self.rate, self._channels, self.start, self._stop = piece.rate, len(samples), at / piece.rate, at
        early = self._stop - at
        if early > RESTART * self.rate:
            self._shift += early
        if abs(early) <= TOLERANCE * self.rate or early > RESTART * self.rate:
            at, early = self._stop, 0
        if early > 0:  # the part that has come already
            samples, at = samples[:, early:], at + min(early, samples.shape[1])
        if samples.shape[1]:
            self._pieces.append((at, samples))
            self._stop = at + samples.shape[1]
            self.end = self._stop / self.rate

    def forget(self, before: float) -> None:
        """Keep only what is played at this time or later."""
        while self._pieces and self._pieces[0][0] + self._pieces[0][1].shape[1] <= before * self.rate:
            self._pieces.popleft()

    def cut(self, start: float, end: float) -> np.ndarray:
        """What is played from `start` to `end`, as far as it is not forgotten: float32 (channels, samples)."""
        return self._cut(round(start * self.rate), round(end * self.rate))

    def _cut(self, first: int, stop: int) -> np.ndarray:
        """The samples with these numbers from time 0."""
        played = np.zeros((self._channels, max(0, stop - first)), np.float32)
        for at, samples in self._pieces:
            begin, finish = max(at, first), min(at + samples.shape[1], stop)
            if begin < finish:
                played[:, begin - first : finish - first] = samples[:, begin - at : finish - at]
        return played

    def recorded(self, start: float, end: float) -> np.ndarray:
        """The same, but without less than TOLERANCE of silence at an end where nothing was recorded; no samples where
        there is nothing but such silence."""
        first, stop = round(start * self.rate), round(end * self.rate)
        inside = [(at, at + samples.shape[1]) for at, samples in self._pieces]
        inside = [(at, to) for at, to in inside if at < stop and to > first]
        if not inside:
            return np.empty((self._channels, 0), np.float32)
        begin, finish = max(inside[0][0], first), min(inside[-1][1], stop)
        short = TOLERANCE * self.rate
        begin, finish = begin if begin - first < short else first, finish if stop - finish < short else stop
        return self._cut(begin, finish)
