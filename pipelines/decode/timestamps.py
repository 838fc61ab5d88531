"""When the frames of a video are shown."""

import base64
import zlib
from fractions import Fraction
from pathlib import Path

import numpy as np

from pipelines.audio.clock import copy_start
from pipelines.decode.container import VideoError
from pipelines.decode.reader import VideoReader


def frame_times(path: str | Path, frames: int, fps: float) -> tuple[float | None, np.ndarray]:
    """When the first frame is shown, in seconds on the clock of the file (None: it does not say); and the seconds from
    there to each frame, float64 (frames,), by the mean rate where packets have no times.

    Raises:
        VideoError: `no_times`, or as `VideoReader`.
    """
    with VideoReader(path) as video:
        pts, tick = shown_times(video), video.tick
        start = None if video.stream.start_time is None else float(video.stream.start_time * tick)
    if len(pts) == frames:
        return float(pts[0] * tick), (np.array(pts) - pts[0]) * float(tick)
    if not fps:
        raise VideoError("no_times", _NO_TIMES.format(path))
    return start, np.arange(frames) / fps


_NO_TIMES = "{}: neither its packets nor its header tell the time of a frame; convert it"


def shown_times(video: VideoReader) -> list[int]:
    """When each frame is shown, in ticks of the file's own clock; fewer, where packets do not tell it."""
    facts = video.demuxed.facts
    return [pts for i in video.demuxed.shown or () if (pts := facts[i].pts) is not None]


def clock(video: VideoReader, frames: int) -> str:
    """When each frame of a file is shown, in seconds on its own clock, of a training copy on that of its original, as a
    short text; see `clock_times`. By the mean rate where packets do not tell it.

    Raises:
        VideoError: `no_times`.
    """
    pts, tick, start = shown_times(video), video.tick, video.stream.start_time or 0
    if len(pts) != frames:
        rate = video.stream.average_rate or video.stream.guessed_rate
        if not rate:
            raise VideoError("no_times", _NO_TIMES.format(video.path))
        start, tick = round(start * tick * rate), 1 / Fraction(rate)
        pts = list(range(start, start + frames))
    steps = np.diff(pts, prepend=pts[0]).astype("<i4")
    packed = base64.b64encode(zlib.compress(steps.tobytes())).decode()
    later = copy_start(video.container.metadata)
    return f"{pts[0]} {tick.numerator} {tick.denominator} {later} {packed}"


def clock_times(text: str) -> np.ndarray:
    """The times in the text that `clock` gave, float64 (frames,).

    Raises:
        ValueError: it is damaged.
    """
    first, numerator, denominator, later, packed = text.split(" ")
    try:
        steps = np.frombuffer(zlib.decompress(base64.b64decode(packed)), "<i4")
    except zlib.error as error:
        raise ValueError(f"times of frames are damaged: {error}") from error
    return (int(first) + np.cumsum(steps, dtype=np.int64)) * int(numerator) / int(denominator) + float(later)
