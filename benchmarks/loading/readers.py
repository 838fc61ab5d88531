"""Loaders that can be measured: each gives endless batches of clips with audio, in a process of its own."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.harness.measure import Variant
from benchmarks.harness.processes import cpu_seconds, wait_until_idle
from pipelines.loader import Batch
from pipelines.parallel.malloc import keep_freed_memory
from tsam_dali.config import load_config
from tsam_dali.config.load import Config


class Reader:
    """Endless batches, counted and timed."""

    def __init__(self, config: Config, batches: Iterator[Batch], close: Callable[[], None] = lambda: None):
        self.config, self.batches, self.close = config, batches, close

    def read(self, skip: int, count: int) -> dict[str, float]:
        """Pass over `skip` batches (what had been fetched ahead, and the start), then time the next `count`."""
        for _ in range(skip):
            next(self.batches)
        wall, cpu = time.perf_counter(), cpu_seconds()
        for _ in range(count):
            batch = next(self.batches)
        if batch.video.is_cuda:
            torch.cuda.synchronize()
        wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
        clips = count * self.config.training_param.batch_size
        return {"clips_per_second": clips / wall, "cpu_ms_per_clip": 1000 * cpu / clips}


def read(variant: Variant, skip: int, count: int) -> dict[str, float]:
    """`Reader.read` of a variant, and wait: it fetches ahead, which the next variant shall not feel."""
    found = variant.call("read", skip, count)
    wait_until_idle(variant.pid)
    return found


def ours(data: Path, config: Path, overrides: list[str], device: str = "cpu") -> Reader:
    """This project's loader, in a process that keeps freed memory as the trainer does."""
    from pipelines.loader import build_loader

    keep_freed_memory()
    settings = load_config(data, config, overrides)
    loader = build_loader(settings, "training", device=device)
    return Reader(settings, endless(loader), loader.close)


def endless(loader: Any) -> Iterator[Batch]:
    """The batches of one epoch after another; a clip that cannot be read is an error."""
    while True:
        yield from loader
        if loader.bad:
            raise RuntimeError(f"clips could not be read: {loader.bad}")


def tsam(data: Path, config: Path, overrides: list[str], device: str = "cpu", keep_filters: bool = False) -> Reader:
    """TSAM's way: `benchmarks.baselines.tsam_reader`."""
    from benchmarks.baselines.tsam_reader import tsam_batches

    settings = load_config(data, config, overrides)
    return Reader(settings, tsam_batches(settings, torch.device(device), keep_filters))


def peer(data: Path, config: Path, overrides: list[str], device: str = "cpu", *, decoder: str) -> Reader:
    """Another library's decoder in a torch DataLoader: `benchmarks.baselines.peer_reader`."""
    from benchmarks.baselines.peer_reader import peer_batches

    settings = load_config(data, config, overrides)
    return Reader(settings, peer_batches(settings, torch.device(device), decoder))
