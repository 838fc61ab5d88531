"""Windows of a long video: which frames and which seconds belong to each. Pure arithmetic, numpy only.

n frames of a video, S segments, W windows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pipelines.sampling.dense import FrameSampling, Stretch, mean_rate, packed_times
from pipelines.sampling.plan import Plan, centre_crop, validation_frames
from pipelines.sampling.views import Views

REST = 0.1
"""Part of a window: a remainder of a video that is shorter belongs to the last window."""


class Span(NamedTuple):
    """A piece of a video, in seconds from its first frame."""

    start: float
    end: float


def window_spans(duration: float, window: float, stride: float) -> list[Span]:
    """The windows of a video, at least one: from 0 s on every `stride` seconds until one reaches the end.

    All are equally long, as far as the video is long enough: the last one moves back to end with the video, or takes in
    a rest of less than a tenth of a window. Example: 27 s, windows of 10 s every 5 s: 0-10, 5-15, 10-20, 15-25, 17-27;
    25.4 s: 0-10, 5-15, 10-20, 15-25.4; 4 s: 0-4. A stride above the window leaves gaps; 17 s, 5 s every 10 s: 0-5,
    10-15, 12-17.
    """
    spans, start = [], 0.0
    while start + window < duration - REST * window:
        spans.append(Span(start, start + window))
        start = stride * len(spans)
    return [*spans, Span(min(start, max(0.0, duration - window)), duration)]


def span_frames(times: np.ndarray, span: Span) -> tuple[int, int]:
    """First frame of a span and the one behind its last; where none begins in it, the frame that is still shown.

    Args:
        times: when each frame is shown, float64 (n,), growing from 0.
    """
    # A frame's time may be a rounding away from the time at which a window begins.
    first, stop = np.searchsorted(times, np.array(span) - 1e-6)
    return (int(first), int(stop)) if stop > first else (max(int(first) - 1, 0), max(int(first), 1))


def window_stretch(
    sampling: FrameSampling, num_segments: int, window: tuple[int, int], times: np.ndarray, rate: float, varies: bool
) -> Stretch:
    """The centred stretch of a window, with dense sampling: its frames in the video, and seconds from the first frame
    of the video.

    Args:
        window: see `span_frames`.
        times: as for `span_frames`.
        rate: mean number of frames a second of the video.
        varies: whether it varies.
    """
    first, stop = window
    own = times[first:stop]
    if varies:
        rate = mean_rate(own, times[stop] if stop < len(times) else None) or rate
    dense = sampling.of_clip(num_segments, stop - first, rate, packed_times(own) if varies else "")
    assert dense is not None
    frames, seconds = dense.view(0)
    return Stretch(first + frames, seconds and (own[0] + seconds[0], own[0] + seconds[1]))


@dataclass(frozen=True, kw_only=True)
class WindowViews(Views):
    """One view of each window: the middles of S equal parts of its frames, or those of its stretch, and the center
    crop."""

    frames: Sequence[tuple[int, int]]
    """Of each window, which is a row of the clips: see `span_frames`."""
    stretches: Sequence[Stretch] = ()
    """Of each window, with dense sampling."""

    def plan(
        self, num_frames: int, height: int, width: int, num_segments: int, *, seed: int, row: int, view: int, dense=None
    ) -> Plan:
        first, stop = self.frames[row]
        own = self.stretches[row].frames if self.stretches else first + validation_frames(stop - first, num_segments)
        return Plan(frames=own, crop=centre_crop(height, width))
