"""The timeline of a long video: its windows through a trained network. C classes, W windows."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from pipelines.audio.from_video import window_spectrograms
from pipelines.sampling.windows import Span, WindowViews, span_frames, window_spans
from tsam_dali.config.load import Config
from tsam_dali.inference.file_clips import file_clip, score_clips
from tsam_dali.inference.results import PredictionError, Timeline, Window, best_classes

STILLS = 10
"""Windows of a timeline of which a frame is kept, for its picture."""
OVERHANG = 1.0
"""Seconds for which the audio of a video of one window is still heard behind its last frame: encoders fill theirs."""


class SeenTimeline(NamedTuple):
    """A timeline and what its picture shows beside it."""

    timeline: Timeline
    probabilities: np.ndarray  # float32 (W, C); NaN in windows that cannot be read
    stills: dict[int, Tensor]  # number of a window -> its middle frame (3, H, W), 0..1


def make_timeline(
    network: nn.Module,
    config: Config,
    names: Sequence[str],
    device: torch.device,
    path: str,
    record: dict[str, Any],
    *,
    window: float,
    stride: float,
    topk: int,
) -> SeenTimeline:
    """The `topk` classes of each window of a video.

    Args:
        network, config, device: as for `tsam_dali.inference.file_clips.score_clips`.
        names: of the C classes.
        path: the video.
        record: what `pipelines.decode.timestamps.probe_times` found.
        window, stride: seconds; see `pipelines.sampling.windows.window_spans`.
        topk: classes of each window.

    Raises:
        PredictionError: no window can be read.
        pipelines.audio.read.AudioError: the audio cannot be read.
    """
    times, clip = record["times"], file_clip(path, record)
    spans = window_spans(_duration(times, record["fps"]), window, stride)
    views = WindowViews(frames=tuple(span_frames(times, span) for span in spans))
    kept = set(np.linspace(0, len(spans) - 1, min(STILLS, len(spans))).round().astype(int).tolist())
    probabilities = np.full((len(spans), len(names)), np.nan, np.float32)
    windows, stills = [], {}
    scores = score_clips(network, config, device, [clip] * len(spans), views, _audios(config, path, record, spans))
    for number, (span, look) in enumerate(zip(spans, scores, strict=True)):
        place = {"start": round(span.start, 3), "end": round(span.end, 3)}
        if look.error:
            windows.append(Window(**place, classes=(), error=look.error))
            continue
        windows.append(Window(**place, classes=best_classes(look.probabilities, names, topk)))
        probabilities[number] = look.probabilities
        if number in kept:
            stills[number] = look.video[len(look.video) // 2].clone()
    if not any(one.classes for one in windows):
        raise PredictionError(windows[0].error)
    about = {"duration": round(spans[-1].end, 3), "window": window, "stride": stride, "has_audio": bool(clip.audio)}
    return SeenTimeline(Timeline(path=path, windows=tuple(windows), **about), probabilities, stills)


def _duration(times: np.ndarray, fps: float) -> float:
    """Seconds; the last frame is shown as long as most are."""
    if len(times) > 1:
        return float(times[-1] + np.median(np.diff(times)))
    return 1 / fps if fps else 1.0  # a single picture: any length will do


def _audios(config: Config, path: str, record: dict[str, Any], spans: list[Span]) -> Iterator[np.ndarray] | None:
    """The pictures of the windows' audio; None for a network that hears nothing."""
    segments = config.model.audio_segments
    if not segments:
        return None
    overhang = OVERHANG if len(spans) == 1 else 0.0  # heard to its end
    options = config.data_augmentation.audio_image_param
    return window_spectrograms(path, spans, options, segments, record["first_frame"], overhang)
