"""Ways to get the wanted frames of a video file as RGB on the CPU, each as its documentation suggests, with one thread
or several. Libraries are imported where a decoder is made: one process holds one of them.
"""

import ctypes
import importlib.metadata
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
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


def pyav_loop(threads: int = 1) -> Decoder:
    """PyAV's plain loop from the start to the last wanted frame."""
    import av

    def decode(path: str, frames: Frames) -> np.ndarray:
        wanted, images = set(frames), {}
        with av.open(path) as container:
            stream = container.streams.video[0]
            stream.thread_type, stream.codec_context.thread_count = "AUTO", threads
            for number, image in enumerate(container.decode(stream)):
                if number in wanted:
                    images[number] = image.to_ndarray(format="rgb24")
                if number == frames[-1]:
                    break
        return np.stack([images[frame] for frame in frames])

    return Decoder(decode=decode, count=_up_to_last, libavcodec=_version(av.library_versions["libavcodec"]))


def torchcodec(seek_mode: Literal["exact", "approximate"], threads: int = 1, whole: bool = False) -> Decoder:
    """torchcodec's get_frames_at, or (whole) all frames up to the last wanted one."""
    with _loading():
        import torch
        from torchcodec._core import ops
        from torchcodec.decoders import VideoDecoder

    torch.set_num_threads(threads)

    def decode(path: str, frames: Frames) -> np.ndarray:
        decoder = VideoDecoder(path, seek_mode=seek_mode, num_ffmpeg_threads=threads, dimension_order="NHWC")
        if whole:
            return decoder.get_frames_in_range(0, frames[-1] + 1).data[list(frames)].numpy()
        return decoder.get_frames_at(list(frames)).data.numpy()

    libavcodec = _version(ops.get_ffmpeg_library_versions()["libavcodec"])
    return Decoder(decode=decode, count=_up_to_last if whole else None, libavcodec=libavcodec)


def decord(package: Literal["decord", "decord2"], threads: int = 1) -> Decoder:
    """get_batch of decord or of its successor decord2, which takes the same name in Python."""
    with _loading():
        importlib.metadata.version(package)
        from decord import VideoReader, cpu

    def decode(path: str, frames: Frames) -> np.ndarray:
        return VideoReader(path, ctx=cpu(0), num_threads=threads).get_batch(list(frames)).asnumpy()

    return Decoder(decode=decode)


def opencv(threads: int = 1) -> Decoder:
    """OpenCV: grab up to the last wanted frame, retrieve the wanted ones."""
    with _loading():
        import cv2

    cv2.setNumThreads(threads)
    found = re.search(r"avcodec: +YES \((\S+)\)", cv2.getBuildInformation())

    def decode(path: str, frames: Frames) -> np.ndarray:
        capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, threads])
        wanted, images = set(frames), {}
        for number in range(frames[-1] + 1):
            capture.grab()
            if number in wanted:
                images[number] = cv2.cvtColor(capture.retrieve()[1], cv2.COLOR_BGR2RGB)
        capture.release()
        return np.stack([images[frame] for frame in frames])

    return Decoder(decode=decode, count=_up_to_last, libavcodec=found[1] if found else "unknown")


def spdl(threads: int = 1) -> Decoder:
    """SPDL's sample_decode_video, which wants each frame once."""
    with _loading():
        import spdl.io
        from spdl.io.utils import get_ffmpeg_versions

        libavcodec = _version(get_ffmpeg_versions()["libavcodec"])  # the first use loads FFmpeg

    config = spdl.io.decode_config(decoder_options={"threads": str(threads)})
    rgb = spdl.io.get_video_filter_desc(pix_fmt="rgb24")

    def decode(path: str, frames: Frames) -> np.ndarray:
        packets, distinct = spdl.io.demux_video(path), sorted(set(frames))
        images = spdl.io.sample_decode_video(packets, distinct, decode_config=config, filter_desc=rgb)
        found = spdl.io.to_numpy(spdl.io.convert_frames(images))
        return found if len(found) == len(frames) else found[np.searchsorted(distinct, frames)]

    return Decoder(decode=decode, libavcodec=libavcodec)


def video_reader(threads: int = 1, whole: bool = False) -> Decoder:
    """video_reader-rs' get_batch, or (whole) decode_fast of all frames up to the last wanted one."""
    with _loading():
        for file in importlib.metadata.files("video_reader-rs") or ():
            if "libsharpyuv" in file.name:  # the wheel's libwebp does not look for it beside itself
                ctypes.CDLL(str(file.locate()))
        from video_reader import PyVideoReader

    def decode(path: str, frames: Frames) -> np.ndarray:
        reader = PyVideoReader(path, threads=threads)
        if not whole:
            return reader.get_batch(list(frames))
        images = reader.decode_fast(end_frame=frames[-1] + 1)
        return np.stack([images[frame] for frame in frames])

    return Decoder(decode=decode, count=_up_to_last if whole else None)


OURS = "ours"
DECODERS: dict[str, Callable[..., Decoder]] = {
    OURS: ours,
    "PyAV loop": pyav_loop,
    "torchcodec, exact": partial(torchcodec, "exact"),
    "torchcodec, approximate": partial(torchcodec, "approximate"),
    "torchcodec, whole clip": partial(torchcodec, "approximate", whole=True),
    "decord": partial(decord, "decord"),
    "decord2": partial(decord, "decord2"),
    "OpenCV": opencv,
    "SPDL": spdl,
    "video_reader-rs": video_reader,
    "video_reader-rs, whole clip": partial(video_reader, whole=True),
}
"""Name -> maker, which raises `MissingVariantError` where the library is not installed. All but ours take `threads`."""


@contextmanager
def _loading() -> Iterator[None]:
    """Errors of a library that is absent or broken become reasons to report."""
    try:
        yield
    except ModuleNotFoundError:
        raise MissingVariantError("not installed") from None
    except (ImportError, OSError, RuntimeError) as error:  # torchcodec without FFmpeg's libraries
        raise MissingVariantError(f"cannot be loaded ({str(error).strip().splitlines()[0]})") from error


def _up_to_last(path: str, frames: Frames) -> int:
    return frames[-1] + 1


def _version(numbers: Sequence[int]) -> str:
    return ".".join(map(str, numbers))
