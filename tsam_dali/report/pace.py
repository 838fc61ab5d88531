"""How often a run draws: pictures are looked at now and then, and must not take the time of the training."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

SHARE = 0.1
"""Of the time of a run, which drawing may take."""
EXPECTED = 2.0
"""Seconds that the first drawing is expected to take."""


class Pace:
    """Says when it is time to draw again."""

    def __init__(self) -> None:
        self._took, self._ended = EXPECTED, time.monotonic()

    @property
    def due(self) -> bool:
        """Whether enough time has passed since the last drawing, or since the start."""
        return time.monotonic() - self._ended >= self._took * (1 - SHARE) / SHARE

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """What is done in it is a drawing."""
        begun = time.monotonic()
        yield
        self._ended = time.monotonic()
        self._took = self._ended - begun
