"""What `benchmarks.loading.feeding` measures, in processes of their own: if one crashes or hangs, the others go on."""

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.harness.device_time import wait_for
from benchmarks.harness.material import CONFIG
from benchmarks.harness.processes import cpu_seconds
from benchmarks.loading.readers import Reader, ours
from benchmarks.training.trainer import Network, Training

SECONDS, BATCHES = 2.0, 2
"""How long a loader is measured, and how many batches at the least."""


class Loading:
    """A data set, its settings, and the network that can be trained on it."""

    def __init__(self, data: Path, settings: Sequence[str], network: Network):
        self._data, self._settings, self._network = data, settings, network

    def read(self, overrides: Sequence[str]) -> dict[str, float]:
        """The loader alone, from its second batch on."""
        reader = self._reader(overrides)
        try:
            next(reader.batches)
            wall, cpu, count = time.perf_counter(), cpu_seconds(), 0
            while count < BATCHES or time.perf_counter() < wall + SECONDS:
                next(reader.batches)
                wait_for(self._network.device)
                count += 1
            wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
        finally:
            reader.close()
        clips = count * reader.config.training_param.batch_size
        return {"clips_per_second": clips / wall, "cpu_ms_per_clip": 1000 * cpu / clips}

    def train(self, overrides: Sequence[str], steps: int) -> dict[str, float]:
        """The network on the loader's batches."""
        training = Training(partial(self._reader, overrides), self._network)
        try:
            return training.train(3, steps)
        finally:
            training.close()

    def _reader(self, overrides: Sequence[str]) -> Reader:
        return ours(self._data, CONFIG, [*self._settings, *overrides], self._network.device)
