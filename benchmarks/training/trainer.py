"""Training with the trainer's own loop on the batches of any reader, in a process of its own."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F

from benchmarks.harness.device_time import wait_for
from benchmarks.harness.processes import cpu_seconds
from benchmarks.loading.readers import Reader
from pipelines.loader import Batch
from pipelines.parallel.malloc import keep_freed_memory
from tsam_dali.config import load_config
from tsam_dali.config.load import Config
from tsam_dali.distributed import Job
from tsam_dali.model import build_model
from tsam_dali.training.engine import train_one_epoch
from tsam_dali.training.state import TrainState, build_train_state

NUM_CLASS = 400


class Network(NamedTuple):
    """The network that is trained."""

    arch: str  # timm's name
    pool: int  # frames and spectrograms are averaged over squares of so many pixels before they enter it
    device: str
    threads: int  # on the CPU


class Waiting:
    """The next `count` batches, made smaller; how long the loop waited for them."""

    def __init__(self, batches: Iterator[Batch], count: int, pool: int):
        self._batches, self._count, self._pool = batches, count, pool
        self.seconds = 0.0

    def __iter__(self) -> Iterator[Batch]:
        for _ in range(self._count):
            asked = time.perf_counter()
            batch = next(self._batches)
            self.seconds += time.perf_counter() - asked
            yield pooled(batch, self._pool)


class Training:
    """A reader and a network that is trained from scratch on its batches: TSAM's settings, our trainer."""

    def __init__(self, make_reader: Callable[[], Reader], network: Network):
        keep_freed_memory()
        self.reader, self.network = make_reader(), network
        torch.set_num_threads(network.threads)  # last: some libraries change it
        self.train_state = make_train_state(self.reader.config, network)

    def read(self, skip: int, count: int) -> dict[str, float]:
        """The reader alone."""
        return self.reader.read(skip, count)

    def train(self, skip: int, count: int) -> dict[str, float]:
        """Train `skip` uncounted steps, then time the next `count`."""
        self._train(skip)
        wall, cpu = time.perf_counter(), cpu_seconds()
        waited = self._train(count)
        wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
        clips = count * self.reader.config.training_param.batch_size
        return {"clips_per_second": clips / wall, "cpu_ms_per_clip": 1000 * cpu / clips, "data_wait": waited / wall}

    def close(self) -> None:
        self.reader.close()

    def _train(self, steps: int) -> float:
        """Seconds that the loop waited for batches."""
        batches = Waiting(self.reader.batches, steps, self.network.pool)
        train_one_epoch(self.train_state, batches, lambda _step: False)
        wait_for(self.network.device)
        return batches.seconds


def make_train_state(config: Config, network: Network) -> TrainState:
    """A network with new weights and everything around it."""
    torch.manual_seed(0)
    model = build_model(config, NUM_CLASS)
    layout = torch.channels_last if config.training_param.channels_last else torch.contiguous_format
    device = torch.device(network.device)
    model.to(device).to(memory_format=layout)
    return build_train_state(model, config, Job(0, 1, 1, device), steps_per_epoch=1000)


def pooled(batch: Batch, pool: int) -> Batch:
    """The batch with images `pool` times smaller."""
    if pool == 1:
        return batch
    assert batch.audio is not None  # all networks here have audio
    video, audio = (F.avg_pool2d(images.flatten(0, 1), pool) for images in (batch.video, batch.audio))
    clips, segments = batch.video.shape[:2]
    return batch._replace(video=video.unflatten(0, (clips, segments)), audio=audio.unflatten(0, (clips, -1)))


def ready(data: Path, config: Path, overrides: list[str], device: str = "cpu") -> Reader:
    """One synthetic batch again and again: what the network could take."""
    settings = load_config(data, config, overrides)
    side = settings.data_augmentation.video_image_param.output_size
    return Reader(settings, repeat(synthetic_batch(settings, side, device)))


def synthetic_batch(config: Config, side: int, device: str = "cpu") -> Batch:
    """Random frames, spectrograms and labels, in the layout in which the loader gives them."""
    clips = config.training_param.batch_size
    draw = partial(torch.rand, device=device)
    rows = torch.arange(clips, device=device)
    video = draw(clips, config.model.video_segments, 3, side, side)
    audio = draw(clips, config.num_spectrograms, 3, side, side)
    return Batch(video, audio, rows % NUM_CLASS, rows, torch.ones_like(rows, dtype=torch.bool))
