"""Where the checked frames and batches come from: DALI's decoders, or what stands in for them in tests."""

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from pipelines.dali.graph import decoded_batches
from pipelines.dali.resources import dali_threads, gpu_number
from pipelines.dataset.clips import Clip
from pipelines.dataset.config import LoaderConfig
from pipelines.loader import Batch, Loader, build_loader
from pipelines.sampling.plan import Plan, centre_crop

LIBRARY = "libnvcuvid.so.1"
Wanted = tuple[Clip, Sequence[int]]
"""A clip and the numbers of some of its frames."""


@dataclass(frozen=True)
class Decoding:
    """The decoders on a device, with the settings of a run; plain data, for a child process."""

    config: LoaderConfig
    clips: Sequence[Clip]  # of the training list, at least a batch
    device: torch.device
    world: int = 1
    local_world: int = 1

    def frames(self, way: str, batches: Sequence[Sequence[Wanted]]) -> Iterator[list[np.ndarray]]:
        """The wanted frames, uint8 (S, H, W, 3) of each clip, one batch after the other, decoded in the given way."""
        if self.device.type == "cuda":
            ctypes.CDLL(LIBRARY)  # raises OSError
        with self._loader(way) as loader:
            source, threads = loader.source, self.config.pipeline.threads
        threads = threads or dali_threads(source.video_input, 1, self.device)
        size, gpu = max(map(len, batches)), gpu_number(self.device)
        read = ([_read(source.video_input, clip, frames) for clip, frames in batch] for batch in batches)
        yield from decoded_batches(source, read, batch_size=size, device_id=gpu, threads=threads)

    @contextmanager
    def batches(self, way: str) -> Iterator[Iterator[Batch]]:
        """The batches of one rank's training, without end, decoded in the given way.

        Raises:
            ValueError: at the end, if `pipelines.dali.spot_check` has found other images in them.
        """
        with self._loader(way) as loader:
            before = loader.source.video_input
            yield (batch for _ in iter(int, 1) for batch in loader)
            if loader.source.video_input != before:
                raise ValueError("images of a batch differ from the CPU's")

    def _loader(self, way: str) -> Loader:
        config: Any = self.config  # a dataclass with more sections
        config = replace(config, pipeline=replace(config.pipeline, decode=way))
        return build_loader(
            config, "training", self.clips, device=self.device, world=self.world, local_world=self.local_world
        )


def _read(video_input: Any, clip: Clip, frames: Sequence[int]) -> tuple[np.ndarray, ...]:
    plan = Plan(np.array(frames), centre_crop(clip.height, clip.width))
    video, numbers = video_input.read(clip, plan)
    numbers, places = np.unique(numbers, return_inverse=True)
    return video, numbers.astype(np.int32), places.astype(np.int32)
