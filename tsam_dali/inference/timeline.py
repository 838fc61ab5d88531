"""The timeline of a long video: a prediction for each window of it. C classes, W windows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from pipelines.audio.from_video import window_spectrograms
from pipelines.parallel.sandbox import Sandbox
from pipelines.sampling.windows import Span, WindowViews, span_frames, window_spans, window_stretch
from tsam_dali.config.load import Config
from tsam_dali.inference.file_clips import classify_clips, file_clip
from tsam_dali.inference.results import PredictionError, Timeline, Window, best_classes
from tsam_dali.model.tsam import TSAM
from tsam_dali.training.tasks import AnyTask

STILLS = 10
"""Windows of a timeline of which a frame is kept, for its plot."""
OVERHANG = 1.0
"""Seconds of audio after the last frame that still count in a video of one window: encoders pad audio."""


class PredictedTimeline(NamedTuple):
    """A timeline, and what its plot shows as well."""

    timeline: Timeline
    probabilities: np.ndarray  # float32 (W, C), of numbers their values; NaN in windows that cannot be read
    stills: dict[int, Tensor]  # number of a window -> its middle frame (3, H, W), 0..1


def make_timeline(
    network: TSAM,
    config: Config,
    device: torch.device,
    sandbox: Sandbox,
    task: AnyTask,
    path: str,
    record: dict[str, Any],
    *,
    window: float,
    stride: float,
    topk: int,
) -> PredictedTimeline:
    """The `topk` classes of each window of a video; a bar on a terminal counts them.

    Args:
        network, config, device, sandbox: as for `tsam_dali.inference.file_clips.classify_clips`.
        task: what is predicted.
        path: the video.
        record: what `pipelines.decode.probe.probe_times` found.
        window, stride: seconds; see `pipelines.sampling.windows.window_spans`.
        topk: classes of each window.

    Raises:
        PredictionError: no window can be read.
        pipelines.audio.read.AudioError: the audio cannot be read.
    """
    times, clip = record["times"], file_clip(path, record)
    spans = window_spans(_duration(times, record["fps"]), window, stride)
    frames, stretches = tuple(span_frames(times, span) for span in spans), []
    if config.model.sampling == "dense":
        how = times, clip.rate, bool(clip.times)
        stretches = [window_stretch(config.model, config.model.video_segments, window, *how) for window in frames]
    views = WindowViews(frames=frames, stretches=stretches)
    kept = set(np.linspace(0, len(spans) - 1, min(STILLS, len(spans))).round().astype(int).tolist())
    probabilities = np.full((len(spans), len(task.names)), np.nan, np.float32)
    windows, stills = [], {}
    shown = [Span(*stretch.seconds) for stretch in stretches if stretch.seconds]
    spectrograms = _spectrograms(config, path, record, shown or spans, OVERHANG if len(spans) == 1 and not shown else 0)
    clips = [clip] * len(spans)
    outputs = classify_clips(network, config, device, sandbox, clips, task.outputs, views, spectrograms)
    hidden = True if len(spans) == 1 else None  # None: only shown on a terminal
    bar = tqdm(zip(spans, outputs, strict=True), Path(path).name, len(spans), False, unit="window", disable=hidden)
    for number, (span, output) in enumerate(bar):
        classes = () if output.error else best_classes(output.probabilities, task, topk)
        start, end = round(span.start, 3), round(span.end, 3)
        windows.append(Window(start=start, end=end, classes=classes, error=output.error))
        if output.error:
            continue
        probabilities[number] = output.probabilities
        if number in kept:
            stills[number] = output.video[len(output.video) // 2].clone()
    if not any(one.classes for one in windows):
        raise PredictionError(windows[0].error)
    timeline = Timeline(
        path=path,
        duration=round(spans[-1].end, 3),
        window=window,
        stride=stride,
        has_audio=bool(clip.audio),
        windows=tuple(windows),
    )
    return PredictedTimeline(timeline, probabilities, stills)


def _duration(times: np.ndarray, fps: float) -> float:
    """Seconds; the last frame is shown as long as most are."""
    if len(times) > 1:
        return float(times[-1] + np.median(np.diff(times)))
    return 1 / fps if fps else 1.0  # a single frame: any length will do


def _spectrograms(
    config: Config, path: str, record: dict[str, Any], spans: list[Span], overhang: float
) -> Iterator[np.ndarray] | None:
    """The spectrograms of the windows; None for a network without audio input."""
    segments = config.model.audio_segments
    if not segments:
        return None
    options = config.data_augmentation.audio_image_param
    return window_spectrograms(path, spans, options, segments, record["first_frame"], overhang)
