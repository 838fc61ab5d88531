"""A progress bar around a loader that also measures how long the loop waited for data.

If standard error is not a terminal, a line is logged every minute instead.
"""

import itertools
import logging
import sys
import time
from collections.abc import Iterator
from typing import Any, Protocol

from tqdm import tqdm

from pipelines.loader import Batch

log = logging.getLogger(__name__)

LOG_SECONDS = 60.0
"""Time between two lines of the log."""


class Batches(Protocol):
    """What a loader gives, and how many."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Batch]: ...


class Progress:
    """Iterate over a loader with a bar; figures leave out the first batch, in which worker processes start.

    Args:
        loader: whose epoch or pass it is.
        title: of the bar or the line.
        clips_per_step: of the whole job.
        show: whether there is a bar or a line; one rank should show it.
        steps: stop after so many; default: all.
    """

    def __init__(self, loader: Batches, title: str, *, clips_per_step: int, show: bool, steps: int | None = None):
        self._loader = loader
        self._total = len(loader) if steps is None else steps
        self._title = title
        self._clips_per_step = clips_per_step
        self._show = show
        self._terminal = sys.stderr.isatty()
        self._steps = 0
        self._seconds = self._waited = 0.0
        self._last_report = time.perf_counter()  # so a short epoch logs nothing
        self._figures: dict[str, Any] = {}
        self.first_batch: Batch | None = None

    def __iter__(self) -> Iterator[Batch]:
        batches = itertools.islice(self._loader, self._total)
        hidden = not (self._show and self._terminal)
        with tqdm(total=self._total, desc=self._title, disable=hidden, unit="step") as bar:
            asked = time.perf_counter()
            for batch in batches:
                got = time.perf_counter()
                if self.first_batch is None:
                    self.first_batch = batch
                    started = got
                else:
                    self._waited += got - asked
                yield batch
                self._steps += 1
                asked = time.perf_counter()
                self._seconds = asked - started
                self._report(bar, asked)

    def show(self, **figures: Any) -> None:
        """Show figures before clips/s and the share of time spent waiting, after the bar or in the log."""
        self._figures = figures

    def _report(self, bar: tqdm, now: float) -> None:
        """Advance the bar, or log a line once a minute."""
        throughput = {"clips/s": f"{self.clips_per_second:.1f}", "data wait": f"{self.data_wait:.0%}"}
        if self._terminal:
            bar.set_postfix(**self._figures, **throughput, refresh=False)
            bar.update()
        elif self._show and now - self._last_report >= LOG_SECONDS:
            self._last_report = now
            text = ", ".join(f"{name} {value}" for name, value in (self._figures | throughput).items())
            left = tqdm.format_interval((self._total - self._steps) * self._seconds / self._steps)
            log.info("%s: step %d of %d, %s, %s left", self._title, self._steps, self._total, text, left)

    @property
    def seconds_waited(self) -> float:
        """Time in which the loop waited for batches after the first one."""
        return self._waited

    @property
    def clips_per_second(self) -> float:
        """Clips of the whole job per second."""
        return self._steps * self._clips_per_step / self._seconds if self._seconds else 0.0

    @property
    def data_wait(self) -> float:
        """Share of the time, 0..1, in which the loop waited for a batch."""
        return self._waited / self._seconds if self._seconds else 0.0
