"""Dense sampling: the frames of one stretch of a clip, as in TSM and SlowFast. Pure arithmetic, numpy only.

Places are counted in frames at the mean rate of the clip. Where its rate is constant, place p shows frame int(p); where
it varies, the frame that is shown at that time.

Letters: n frames of a clip, S segments, L the length of the stretch in frames.
"""

import base64
import zlib
from dataclasses import dataclass, fields
from typing import Annotated, Literal, NamedTuple

import numpy as np
from annotated_types import Interval

ROUNDING = 1e-6
"""In frames."""
_LATE = 1e-3
"""Frames by which a time may be rounded, as Matroska does, and its frame still counts as shown."""


@dataclass(frozen=True, kw_only=True)
class FrameSampling:
    """Which frames of a clip are taken; fields are settings of the section `model`."""

    sampling: Literal["segments", "dense"] = "segments"
    """Frames of each clip: `segments`, one out of each of S equal parts of it (TSN, TSAM); or `dense`, S frames of one
    stretch of it, which is drawn in training and centred in validation (TSM's dense sampling, SlowFast). Its length is
    `clip_seconds`, or S times `stride` frames. The audio is that of the stretch."""
    clip_seconds: Annotated[float, Interval(gt=0, le=86400)] | None = None
    """Of `dense`: length of the stretch in seconds; or give `stride`."""
    stride: Annotated[int, Interval(ge=1, le=10000)] | None = None
    """Of `dense`: frames from one segment to the next, at `target_fps`; or give `clip_seconds`."""
    target_fps: Annotated[float, Interval(ge=0.01, le=1000)] | None = None
    """Of `dense` with `stride`: frames a second in which it counts; `null`: each clip's own rate, as in TSM."""
    dense_rule: Literal["tsm", "slowfast"] = "tsm"
    """Of `dense`: `tsm` takes the first frame of each of S equal parts of the stretch, and starts over at the end of a
    shorter clip; `slowfast` spreads the frames from the first to the last one of the stretch, and repeats the last
    frame of a shorter clip."""

    @property
    def frame_sampling(self) -> "FrameSampling":
        """These settings alone, which travel to the decode workers."""
        return FrameSampling(**{field.name: getattr(self, field.name) for field in fields(FrameSampling)})

    @property
    def in_seconds(self) -> bool:
        """Whether a stretch has a length in seconds, the same in every clip."""
        return self.clip_seconds is not None or self.target_fps is not None

    def seconds(self, num_segments: int) -> float:
        """This length."""
        if self.clip_seconds is not None:
            return self.clip_seconds
        assert self.stride is not None
        assert self.target_fps is not None
        return num_segments * self.stride / self.target_fps

    def of_clip(self, num_segments: int, frames: int, rate: float = 0.0, times: str = "") -> "DenseClip | None":
        """The stretches of a clip; None where sampling is not dense.

        Args:
            num_segments: S.
            frames: n.
            rate: mean number of frames a second; 0: unknown, for strides at the clip's own rate.
            times: of its frames where the rate varies, see `packed_times`.

        Raises:
            ValueError: the rate is not known, but needed.
        """
        if self.sampling == "segments":
            return None
        if not rate and self.in_seconds and frames > 1:
            raise ValueError("how many frames a second has is not known, which model.sampling dense needs; convert it")
        if self.clip_seconds is not None:
            length = self.clip_seconds * rate
        else:
            assert self.stride is not None
            length = num_segments * self.stride / (self.target_fps or 1.0) * (rate if self.target_fps else 1.0)
        places = unpacked_times(times) * rate if times else None
        return DenseClip(self.dense_rule == "tsm", num_segments, frames, max(1.0, length), rate, places)


class Stretch(NamedTuple):
    """A part of a clip that a network sees."""

    frames: np.ndarray  # (S,) numbers counted from 0
    seconds: tuple[float, float] | None  # start and end, from the first frame of the clip; None: not known


class DenseClip(NamedTuple):
    """What the stretches of one clip follow from."""

    tsm: bool  # the rule; else SlowFast's
    num_segments: int
    num_frames: int
    length: float  # L
    rate: float
    places: np.ndarray | None  # of the frames where the rate varies, float64 (n,), growing from 0

    def random(self, rng: np.random.Generator) -> Stretch:
        """A stretch that begins anywhere such that it fits; `tsm`: at a whole frame, the last one of these left out."""
        last = self._last_start
        return self._beginning_at(float(rng.integers(0, max(1, int(last)))) if self.tsm else rng.uniform(0, last))

    def view(self, number: int, views: int = 1) -> Stretch:
        """One of several stretches that begin evenly spaced, or the centred one.

        `tsm`: the first one begins with the clip, the last one ends with it. `slowfast`: number v of V begins at v / V
        of the way from one to the other. Example: 100 frames, stretches of 64, 10 views: 0, 4, 8, ... 36; or 0, 3.6,
        7.2, ... 32.4. A single one begins at 18.
        """
        last = self._last_start
        if views == 1:
            return self._beginning_at(last // 2)
        if self.tsm:
            return self._beginning_at(float(np.linspace(0, last, views, dtype=np.int64)[number]))
        return self._beginning_at(last * number / views)

    @property
    def _last_start(self) -> float:
        """Where a stretch begins that ends with the clip; `tsm`: a whole frame."""
        last = max(0.0, self.num_frames - self.length)
        return float(int(last + ROUNDING)) if self.tsm else last

    def _beginning_at(self, start: float) -> Stretch:
        if self.tsm:
            step = self.length / self.num_segments
            places = (start + step * np.arange(self.num_segments) + ROUNDING) % self.num_frames
        else:
            places = _evenly(start, start + self.length - 1, self.num_segments).clip(0, self.num_frames - 1)
        if self.places is None:
            frames = places.astype(np.int64)
        else:
            frames = np.maximum(np.searchsorted(self.places - _LATE, places, side="right") - 1, 0)
        end = min(start + self.length, self.num_frames)
        return Stretch(frames, (start / self.rate, end / self.rate) if self.rate else None)


def _evenly(first: float, last: float, count: int) -> np.ndarray:
    """Evenly spaced float32 numbers, to the last bit those of torch.linspace, which SlowFast rounds down to frames."""
    start, end = np.float32(first), np.float32(last)
    if count == 1:
        return np.array([start])
    step, numbers = float((end - start) / np.float32(count - 1)), np.arange(count)
    from_start, from_end = float(start) + step * numbers, float(end) - step * (count - 1 - numbers)
    return np.where(numbers < count // 2, from_start, from_end).astype(np.float32)


def mean_rate(times: np.ndarray, end: float | None = None) -> float:
    """Frames a second of a clip, from when each is shown and when the last one ends (default: as late as most do); 0
    where that cannot be said.
    """
    if end is None:
        end = float(times[-1] + np.median(np.diff(times))) if len(times) > 1 else float(times[-1])
    return len(times) / (end - times[0]) if end > times[0] else 0.0


def even_rate(times: np.ndarray) -> float:
    """A constant number of frames a second, a whole one if it can be, by which each frame would be shown within less
    than a frame of its time; 0 where there is none. times: of at least two frames, growing."""
    numbers = np.arange(len(times))
    slope = float(np.polyfit(times - times[0], numbers, 1)[0])
    return next((rate for rate in (float(round(slope)), slope) if rate and np.ptp(times * rate - numbers) < 1), 0.0)


def packed_times(times: np.ndarray) -> str:
    """Seconds, growing, as a short text; they count from the first one, in whole microseconds."""
    microseconds = np.round((times - times[0]) * 1e6).astype(np.int64)
    return base64.b64encode(zlib.compress(np.diff(microseconds, prepend=0).tobytes())).decode()


def unpacked_times(text: str) -> np.ndarray:
    """What `packed_times` packed, float64 (n,), from 0.

    Raises:
        ValueError: it is damaged.
    """
    try:
        return np.frombuffer(zlib.decompress(base64.b64decode(text)), np.int64).cumsum() / 1e6
    except zlib.error as error:
        raise ValueError(f"times of frames are damaged: {error}") from error
