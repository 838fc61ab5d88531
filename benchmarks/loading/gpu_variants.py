"""What `benchmarks.loading.gpu` measures, in a process of its own: one that crashes or hangs takes no other with it."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.harness.material import CONFIG
from benchmarks.loading.readers import Reader, ours
from benchmarks.training.trainer import Network, Training

SECONDS = 3.0
"""How long a loader is measured, and at the least two batches."""


class Loading:
    """A data set, its settings, and the network that can be trained on it."""

    def __init__(self, data: Path, settings: Sequence[str], network: Network):
        self._data, self._settings, self._network = data, settings, network

    def read(self, overrides: Sequence[str]) -> dict[str, float]:
        """The loader alone."""
        reader = self._reader(overrides)
        try:
            rate = reader.read(1, 1)["clips_per_second"]
            batches = SECONDS * rate / reader.config.training_param.batch_size
            return reader.read(1, min(max(round(batches), 2), 30))
        finally:
            reader.close()

    def train(self, overrides: Sequence[str], steps: int) -> dict[str, float]:
        """The network on the loader's batches."""
        training = Training(partial(self._reader, overrides), self._network)
        try:
            return training.train(3, steps)
        finally:
            training.close()

    def _reader(self, overrides: Sequence[str]) -> Reader:
        return ours(self._data, CONFIG, [*self._settings, *overrides], self._network.device)
