"""The ways to follow a stream that `benchmarks.live` measures, each in a process of its own. On the CPU."""

import time
from pathlib import Path
from typing import NamedTuple

import torch

from pipelines.memory import keep_freed_memory
from tsam_dali.config import load_config
from tsam_dali.model import build_model
from tsam_dali.stream import Stream

CONFIG = Path(__file__).resolve().parent.parent / "config"
NUM_CLASS = 400
IMAGE, STREAM, WINDOW = "one image", "stream", "window again"


class Size(NamedTuple):
    """What is computed."""

    arch: str
    segments: int  # frames that a prediction looks at
    pixels: int
    threads: int


class Following:
    """A network with new weights and one way to predict after every frame; there is no sound."""

    def __init__(self, way: str, size: Size):
        keep_freed_memory()
        torch.set_num_threads(size.threads)
        settings = {
            "model.arch": size.arch,
            "model.pretrain": "none",
            "model.audio_segments": 0,
            "model.video_segments": 1 if way == IMAGE else size.segments,
            "shift_temporal.causal": "true",
            "shift_temporal.status": str(way != IMAGE).lower(),
        }
        overrides = [f"{key}={value}" for key, value in settings.items()]
        config = load_config(CONFIG / "kinetics400_data.json", CONFIG / "kinetics400_config.json", overrides)
        torch.manual_seed(0)
        self._network = build_model(config, NUM_CLASS).to(memory_format=torch.channels_last).eval()
        self._way = way
        self._frames = torch.rand(size.segments, 3, size.pixels, size.pixels)
        self._stream = Stream(self._network) if way == STREAM else None
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
            self._stream.push(newest)
        elif self._way == IMAGE:
            self._network(newest[None, None])
        else:
            self._network(self._frames[None])
        return 1000 * (time.process_time() - cpu), 1000 * (time.perf_counter() - wall)
