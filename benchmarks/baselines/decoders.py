"""Ways to get the wanted frames of a video file as RGB on the CPU, each as its documentation suggests, with
one thread. Libraries are imported where a decoder is made: one process holds one of them.
"""

import importlib
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Literal

import numpy as np

from benchmarks.harness.measure import MissingVariantError

Frames = tuple[int, ...]
Job = tuple[str, Frames]
"""A file and the wanted frames of it, in rising order; repeats allowed."""


@dataclass(kw_only=True)
class Decoder:
    """One way to decode."""

    decode: Callable[[str, Frames], np.ndarray]  # -> uint8 (S, H, W, 3), RGB
    count: Callable[[str, Frames], int] | None = None  # frames that are decoded for the wanted ones; None: unknown
    plan: Callable[[str, Frames], object] | None = None  # reads the packets and chooses among them, without decoding
    libavcodec: str = "unknown"  # version of FFmpeg's decoders behind it

    def about(self) -> str:
        return self.libavcodec

    def frames(self, job: Job) -> np.ndarray:
        return self.decode(*job)

    def decoded(self, jobs: Sequence[Job]) -> float | None:
        """Frames decoded per clip, the mean of all jobs."""
        return float(np.mean([self.count(*job) for job in jobs])) if self.count else None

    def planning(self, jobs: Sequence[Job]) -> float | None:
        """CPU milliseconds per clip to read the packets and choose among them, median of all jobs and 5 passes."""
        if self.plan is None:
            return None
        found = []
        for job in list(jobs) * 6:
            start = time.process_time()
            self.plan(*job)
            found.append(1000 * (time.process_time() - start))
        return round(float(np.median(found[len(jobs) :])), 2)  # without the first pass

    def time(self, jobs: Sequence[Job]) -> list[tuple[float, float]]:
        """Seconds of CPU (all threads) and of wall time for each job."""
        found = []
        for job in jobs:
            wall, cpu = time.perf_counter(), time.process_time()
            self.decode(*job)
            found.append((time.process_time() - cpu, time.perf_counter() - wall))
        return found


def ours() -> Decoder:
    """This project's decoder."""
    import av

    from pipelines.decode import decode_frames
    from pipelines.decode.bitstream.packets import Run
    from pipelines.decode.demux import demux_plain
    from pipelines.decode.reader import VideoReader

    def plan(path: str, frames: Frames) -> list[Run] | None:
        plain = demux_plain(path)
        if plain is not None:
            return plain[0].runs(set(frames))
        with VideoReader(path) as video:
            demuxed = video.demuxed
        return demuxed.runs(set(frames)) if demuxed.shown else None

    def count(path: str, frames: Frames) -> int:
        runs = plan(path, frames)
        return frames[-1] + 1 if runs is None else sum(len(run.packets) for run in runs)

    return Decoder(decode=decode_frames, count=count, plan=plan, libavcodec=_version(av.library_versions["libavcodec"]))


def pyav_loop() -> Decoder:
    """PyAV's plain loop from the start to the last wanted frame."""
    import av

    def decode(path: str, frames: Frames) -> np.ndarray:
        wanted, images = set(frames), {}
        with av.open(path) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            for number, image in enumerate(container.decode(stream)):
                if number in wanted:
                    images[number] = image.to_ndarray(format="rgb24")
                if number == frames[-1]:
                    break
        return np.stack([images[frame] for frame in frames])

    return Decoder(decode=decode, count=_up_to_last, libavcodec=_version(av.library_versions["libavcodec"]))


def torchcodec(seek_mode: Literal["exact", "approximate"]) -> Decoder:
    """torchcodec's get_frames_at."""
    library = _peer("torchcodec.decoders")
    import torch
    from torchcodec._core import ops

    torch.set_num_threads(1)

    def decode(path: str, frames: Frames) -> np.ndarray:
        decoder = library.VideoDecoder(path, seek_mode=seek_mode, num_ffmpeg_threads=1, dimension_order="NHWC")
        return decoder.get_frames_at(list(frames)).data.numpy()

    return Decoder(decode=decode, libavcodec=_version(ops.get_ffmpeg_library_versions()["libavcodec"]))


def decord() -> Decoder:
    """decord's get_batch."""
    library = _peer("decord")

    def decode(path: str, frames: Frames) -> np.ndarray:
        return library.VideoReader(path, ctx=library.cpu(0), num_threads=1).get_batch(list(frames)).asnumpy()

    return Decoder(decode=decode)


def opencv() -> Decoder:
    """OpenCV: grab up to the last wanted frame, retrieve the wanted ones."""
    library = _peer("cv2")
    library.setNumThreads(1)
    found = re.search(r"avcodec: +YES \((\S+)\)", library.getBuildInformation())

    def decode(path: str, frames: Frames) -> np.ndarray:
        capture = library.VideoCapture(path, library.CAP_FFMPEG, [library.CAP_PROP_N_THREADS, 1])
        wanted, images = set(frames), {}
        for number in range(frames[-1] + 1):
            capture.grab()
            if number in wanted:
                images[number] = library.cvtColor(capture.retrieve()[1], library.COLOR_BGR2RGB)
        capture.release()
        return np.stack([images[frame] for frame in frames])

    return Decoder(decode=decode, count=_up_to_last, libavcodec=found[1] if found else "unknown")


OURS = "ours"
DECODERS: dict[str, Callable[[], Decoder]] = {
    OURS: ours,
    "PyAV loop": pyav_loop,
    "torchcodec, exact": partial(torchcodec, "exact"),
    "torchcodec, approximate": partial(torchcodec, "approximate"),
    "decord": decord,
    "OpenCV": opencv,
}
"""Name -> maker, which raises `MissingVariantError` where the library is not installed."""


def _peer(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        raise MissingVariantError("not installed") from None
    except (ImportError, OSError, RuntimeError) as error:  # torchcodec without FFmpeg's libraries
        raise MissingVariantError(f"cannot be loaded ({str(error).strip().splitlines()[0]})") from error


def _up_to_last(path: str, frames: Frames) -> int:
    return frames[-1] + 1


def _version(numbers: Sequence[int]) -> str:
    return ".".join(map(str, numbers))
