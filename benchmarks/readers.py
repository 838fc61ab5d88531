"""Loaders that can be measured: each gives endless batches of clips with sound, in a process of its own."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.processes import cpu_seconds
from tsam_dali.config import load_config


class Reader:
    """Endless batches, counted and timed."""

    def __init__(self, batches: Iterator[Any], clips_per_batch: int, close: Callable[[], None] = lambda: None):
        self.batches, self.clips_per_batch, self.close = batches, clips_per_batch, close

    def read(self, skip: int, count: int) -> dict[str, float]:
        """Pass over `skip` batches (what had been fetched ahead, and the start), then time the next `count`."""
        for _ in range(skip):
            next(self.batches)
        wall, cpu = time.perf_counter(), cpu_seconds(os.getpid())
        for _ in range(count):
            next(self.batches)
        wall, cpu = time.perf_counter() - wall, cpu_seconds(os.getpid()) - cpu
        clips = count * self.clips_per_batch
        return {"clips_per_second": clips / wall, "cpu_ms_per_clip": 1000 * cpu / clips}


def ours(data: Path, config: Path, overrides: list[str]) -> Reader:
    """This project's loader."""
    from pipelines.loader import build_loader

    settings = load_config(data, config, overrides)
    loader = build_loader(settings, "training")
    return Reader(endless(loader), settings.training_param.batch_size, loader.close)


def endless(loader: Any) -> Iterator[Any]:
    """The batches of one epoch after another; a clip that cannot be read is an error."""
    while True:
        for batch in loader:
            if not batch.ok.all():
                raise RuntimeError(f"clips could not be read: {loader.bad}")
            yield batch


def tsam(data: Path, config: Path, overrides: list[str], keep_filters: bool) -> Reader:
    """TSAM's way: `benchmarks.tsam_reader`."""
    import torch

    from benchmarks.tsam_reader import tsam_batches

    torch.set_num_threads(1)
    settings = load_config(data, config, overrides)
    return Reader(tsam_batches(settings, settings.pipeline.workers, keep_filters), settings.training_param.batch_size)
