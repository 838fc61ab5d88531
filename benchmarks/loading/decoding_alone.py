"""The upper bound of a loader that reads videos: libavcodec decodes the packets that the wanted frames need, and that
is all. Reading the packets, choosing among them, colors, crop, resize and audio are not counted."""

import os
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import count, islice
from multiprocessing import get_context
from pathlib import Path

from av.video.codeccontext import VideoCodecContext

from pipelines.decode.demux import demux_plain
from pipelines.decode.reader import selected_frames
from pipelines.loader import build_loader
from tsam_dali.config import load_config

Job = tuple[str, frozenset[int]]
"""A file and the wanted frames of it."""


class DecodingAlone:
    """Decodes what a training loader with these settings reads, in its order, with a process for each core."""

    def __init__(self, data: Path, config: Path, overrides: list[str]):
        settings = load_config(data, config, overrides)
        self.batch_size, self.workers = settings.training_param.batch_size, len(os.sched_getaffinity(0))
        self._source = build_loader(settings, "training").source
        self._steps = count()
        self._pool = ProcessPoolExecutor(self.workers, mp_context=get_context("spawn"))

    def read(self, skip: int, number: int) -> dict[str, float]:
        """As `benchmarks.loading.readers.Reader.read`; clips per second are those of busy processes."""
        for _ in range(skip):
            next(self._steps)
        jobs = [self._job(step, place) for step in islice(self._steps, number) for place in range(self.batch_size)]
        seconds = sum(self._pool.map(decoding_seconds, jobs))
        return {
            "clips_per_second": self.workers * len(jobs) / seconds,
            "cpu_ms_per_clip": 1000 * seconds / len(jobs),
        }

    def close(self) -> None:
        self._pool.shutdown()

    def _job(self, step: int, place: int) -> Job:
        position = self._source.order.position(step, place)
        return self._source.clips[position.row].path, frozenset(self._source.plan(position).frames.tolist())


def decoding_seconds(job: Job) -> float:
    """CPU seconds in which libavcodec decodes the packets that these frames need."""
    path, frames = job
    found = demux_plain(path)
    if found is None:
        raise ValueError(f"{path}: its packets cannot be chosen by their headers; measure other clips")
    demuxed, table = found
    codec = VideoCodecContext.create(table.codec, "r")
    assert isinstance(codec, VideoCodecContext)
    codec.extradata = table.extradata
    start = time.thread_time()
    selected_frames(demuxed, codec, set(frames))
    return time.thread_time() - start
