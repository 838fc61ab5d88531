"""The ways to follow a stream that `benchmarks.model.live` measures, each in a process of its own. On the CPU."""

import time
from typing import NamedTuple

import numpy as np
import torch

from benchmarks.harness.material import kinetics
from pipelines.decode.stream import StreamFrame
from pipelines.parallel.malloc import keep_freed_memory
from tsam_dali.inference.live import CLIP_SECONDS, AudioFeed
from tsam_dali.model import build_model
from tsam_dali.model.streaming import Stream

NUM_CLASS = 400
IMAGE, STREAM, WITH_AUDIO, WINDOW = "one image", "stream", "stream, new audio", "window again"
RATE = 44_100
"""Samples of audio per second."""


class Size(NamedTuple):
    """What is computed."""

    arch: str
    segments: int  # frames that a prediction looks at
    pixels: int
    threads: int


class Following:
    """A network with new weights and one way to predict after every frame; there is audio in one of them only."""

    def __init__(self, way: str, size: Size):
        keep_freed_memory()
        torch.set_num_threads(size.threads)
        settings = {
            "model.arch": size.arch,
            "model.pretrain": "none",
            "model.audio_segments": int(way == WITH_AUDIO),
            "model.video_segments": 1 if way == IMAGE else size.segments,
            "shift_temporal.causal": "true",
            "shift_temporal.status": str(way != IMAGE).lower(),
        }
        config = kinetics(settings)
        torch.manual_seed(0)
        self._network = build_model(config, NUM_CLASS).to(memory_format=torch.channels_last).eval()
        self._way = way
        self._frames = torch.rand(size.segments, 3, size.pixels, size.pixels)
        self._feed = AudioFeed(config, torch.device("cpu"))
        self._stream = Stream(self._network, self._feed(None)) if way in (STREAM, WITH_AUDIO) else None
        self._audio = np.random.default_rng(0).standard_normal((1, round(CLIP_SECONDS * RATE))).astype(np.float32)
        self._next = 0

    def frames(self, count: int) -> list[tuple[float, float]]:
        """CPU and wall milliseconds of each of `count` frames."""
        return [self._frame() for _ in range(count)]

    @torch.no_grad()
    def _frame(self) -> tuple[float, float]:
        """One more frame has come: predict. The window is that of the latest frames, which are at hand."""
        newest = self._frames[self._next % len(self._frames)]
        self._next += 1
        cpu, wall = time.process_time(), time.perf_counter()
        if self._stream:
            if self._way == WITH_AUDIO:
                self._stream.set_audio(self._feed(StreamFrame(0.0, np.empty(0, np.uint8), self._audio, RATE)))
            self._stream.push(newest)
        elif self._way == IMAGE:
            self._network(newest[None, None])
        else:
            self._network(self._frames[None])
        return 1000 * (time.process_time() - cpu), 1000 * (time.perf_counter() - wall)
