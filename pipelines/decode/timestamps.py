"""When the frames of a video are shown."""

import base64
import zlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.audio.clock import copy_start
from pipelines.audio.decode import AudioError, audio_stream
from pipelines.decode.container import VideoError
from pipelines.decode.reader import VideoReader
from pipelines.sampling.dense import even_rate, mean_rate, packed_times


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


def dense_facts(video: VideoReader, frames: int, fps: float, variable_rate: bool) -> dict[str, Any]:
    """What dense sampling must know of a file beside `pipelines.decode.frames.VideoInfo`, for the index.

    `audio_start`: when its audio begins, in seconds from the first frame. `rate`: mean number of frames a second, where
    the header does not say it, or is off by half a frame in the length of the file. `frame_times`: where the rate
    varies and no even one has every frame within less than a frame of its time, as it has of a training copy with 10 of
    25 frames a second; see `pipelines.sampling.dense.packed_times`.
    """
    pts, tick = shown_times(video), video.tick
    start = (pts[0] if pts else video.stream.start_time or 0) * tick
    facts: dict[str, Any] = {"audio_start": round(float(_audio_start(video, start) - start), 6)}
    if len(pts) != frames or pts[0] == pts[-1]:
        return facts
    times = np.array(pts) * float(tick)
    if variable_rate:
        rate = even_rate(times)
        return facts | ({"rate": rate} if rate else {"rate": mean_rate(times), "frame_times": packed_times(times)})
    rate = (frames - 1) / (times[-1] - times[0])
    return facts if fps and abs(frames / rate - frames / fps) < 0.5 / fps else facts | {"rate": rate}


def _audio_start(video: VideoReader, otherwise: Fraction) -> Fraction:
    """When the audio of a file begins, in seconds on its clock; `otherwise` where it has none, or does not say it."""
    try:
        track = audio_stream(video.path, video.container)
    except AudioError:
        return otherwise
    if track is None or track.start_time is None or track.time_base is None:
        return otherwise
    return track.start_time * track.time_base


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


def shown_until(times: np.ndarray) -> float:
    """When the last frame ends: it is shown as long as most are. times: of all frames, growing."""
    return float(times[-1] + (np.median(np.diff(times)) if len(times) > 1 else 0.0))


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
