"""Decoders to check: DALI's CPU decoder of VP9 plays the healthy NVDEC, and what is wrong is done to what it gives."""

import os
import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from pipelines.check_gpu.decoding import Decoding
from pipelines.dali.spot_check import SpotCheck
from pipelines.loader import Batch
from tests.helpers.loading import SIDE

TALL = 112
"""Height of the clips of which some stand-ins treat one kind otherwise."""


def rate_of(rate, announce):
    return rate


@dataclass(frozen=True)
class Healthy(Decoding):
    """The right frames, and batches at given rates."""

    rates: dict[str, float] = field(default_factory=lambda: {"cpu": 40.0, "gpu": 80.0, "gpu_whole": 160.0})

    def frames(self, way, batches):
        for found in super().frames(way, batches):
            yield [self.change(way, frames) for frames in found]

    def change(self, way, frames):
        return frames

    @contextmanager
    def batches(self, way):
        rows = torch.arange(4)
        yield (self.wait(way, Batch(torch.zeros(4), None, rows, rows, rows >= 0)) for _ in iter(int, 1))

    def wait(self, way, batch):
        time.sleep(4 / self.rates[way])
        return batch


class OneFrameLate(Healthy):
    def frames(self, way, batches):
        late = [[(clip, [max(0, frame - 1) for frame in frames]) for clip, frames in batch] for batch in batches]
        return super().frames(way, late)


class SwapsChroma(Healthy):
    """Cb and Cr change places."""

    def change(self, way, frames):
        red, green, blue = np.moveaxis(frames.astype(float), 3, 0)
        luma = 0.299 * red + 0.587 * green + 0.114 * blue
        cb, cr = (red - luma) * 0.713, (blue - luma) * 0.564
        swapped = np.stack([luma + 1.403 * cr, luma - 0.344 * cb - 0.714 * cr, luma + 1.773 * cb], 3)
        return swapped.clip(0, 255).astype(np.uint8)


class Darker(Healthy):
    def change(self, way, frames):
        return frames - np.minimum(frames, 5)


class OtherSize(Healthy):
    """As a decoder that was made for the coded size."""

    def change(self, way, frames):
        return np.pad(frames, ((0, 0), (0, 8), (0, 0), (0, 0)))


class FailsOnOneKind(Healthy):
    def frames(self, way, batches):
        for batch in batches:
            if any(clip.height == TALL for clip, _ in batch):
                raise RuntimeError("no decoder for it")
            yield from super().frames(way, [batch])


class SticksToASize(Healthy):
    """Wrong in a batch of several sizes only, and of the second way in: the first one stays."""

    def frames(self, way, batches):
        for batch, found in zip(batches, super().frames(way, batches), strict=True):
            late = way == "gpu" and len(batch) > 1 and batch[0][0].height == TALL
            yield [frames[::-1] for frames in found] if late else found


class BrokenByDamage(Healthy):
    """Nothing can be decoded after a damaged clip."""

    def frames(self, way, batches):
        clips = [clip for batch in batches for clip, _ in batch]
        known = {clip.path for clip in self.clips}
        if any(clip.path not in known for clip in clips) or os.environ.get("BROKEN"):
            os.environ["BROKEN"] = "1"
            raise RuntimeError("CUDA_ERROR_ILLEGAL_ADDRESS\nmore about it")
        yield from super().frames(way, batches)


class Hangs(Healthy):
    def change(self, way, frames):
        time.sleep(1000)


class KillsItsProcess(Healthy):
    def change(self, way, frames):
        os.kill(os.getpid(), signal.SIGSEGV)


class FirstWayKills(Healthy):
    def change(self, way, frames):
        if way == "gpu":
            os._exit(3)
        return frames


class Slow(Healthy):
    def wait(self, way, batch):
        time.sleep(0.05 if way == "cpu" else 0.5)
        return batch


class SlowCPU(Healthy):
    def wait(self, way, batch):
        return time.sleep(1000) if way == "cpu" else super().wait(way, batch)


class OtherBatches(Decoding):
    """The right frames, but batches of another draw."""

    def _loader(self, way):
        loader = super()._loader(way)
        if way != "cpu":
            loader.spot_check = SpotCheck(replace(loader.source, seed=99), SIDE)
        return loader
