"""A progress bar around a loader that also measures how long the loop waited for data."""

import itertools
import time
from collections.abc import Iterator
from typing import Any

from tqdm import tqdm

from pipelines.loader import Batch, Loader


class Progress:
    """Iterate over a loader with a bar; figures leave out the first batch, in which worker processes start.

    Args:
        loader: whose epoch or pass it is.
        title: stands before the bar.
        clips_per_step: of the whole job.
        show: whether there is a bar; one rank should show it.
        steps: stop after so many; default: all.
    """

    def __init__(self, loader: Loader, title: str, *, clips_per_step: int, show: bool, steps: int | None = None):
        self._loader = loader
        self._total = len(loader) if steps is None else steps
        self._title = title
        self._clips_per_step = clips_per_step
        self._show = show
        self._steps = 0
        self._seconds = self._waited = 0.0
        self._bar: tqdm | None = None
        self.first_batch: Batch | None = None

    def __iter__(self) -> Iterator[Batch]:
        batches = itertools.islice(self._loader, self._total)
        with tqdm(total=self._total, desc=self._title, disable=not self._show, unit="step") as self._bar:
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
                self._bar.update()
                asked = time.perf_counter()
                self._seconds = asked - started

    def show(self, **figures: Any) -> None:
        """Put figures behind the bar, followed by clips/s and the share of time spent waiting for data."""
        assert self._bar is not None
        throughput = {"clips/s": f"{self.clips_per_second:.1f}", "data wait": f"{self.data_wait:.0%}"}
        self._bar.set_postfix(**figures, **throughput)

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
