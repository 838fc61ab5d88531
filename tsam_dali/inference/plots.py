"""Plots of predictions: of one file, of the evidence for a class in it, of the timeline of a long video."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.image import AxesImage

from tsam_dali.inference.grad_cam import Explanation
from tsam_dali.inference.predictor import PredictedClip
from tsam_dali.inference.results import probability_of
from tsam_dali.inference.timeline import PredictedTimeline
from tsam_dali.report.plots import DPI, literally
from tsam_dali.training.task import ClassTask
from tsam_dali.training.tasks import AnyTask, NumberTask

IN_A_ROW = 8
"""Frames in a row."""
HIGHEST = 3
"""Height of a frame in inches, at most."""
STRONGEST = 0.7
"""Opacity of the heat map where it is strongest; it is transparent where there is no evidence."""

CLASSES = ClassTask()
SHOWN = 8
"""Classes of a timeline that are drawn, those with the highest probability in any window."""


def draw_prediction(seen: PredictedClip, path: str | Path, task: AnyTask = CLASSES) -> Figure:
    """Draw a prediction as a PNG; only the middle one of the three windows of the audio is shown.

    Args:
        seen: what `Predictor.predict_all` found; without audio segments no spectrogram is drawn.
        path: PNG file to write.
        task: what was predicted.
    """
    frames = seen.video.clamp(0, 1).permute(0, 2, 3, 1).numpy()  # (S, 3, H, W) -> (S, H, W, 3)
    columns = min(IN_A_ROW, len(frames))
    rows = -(-len(frames) // columns)
    height = rows * min(12 / columns, HIGHEST)
    figure = Figure(figsize=(12, 3.4 + height), layout="constrained")
    figure.suptitle(literally(seen.prediction.title))
    above, below = _rows(figure, height, 3.4)
    for number, axes in enumerate(above.subplots(rows, columns, squeeze=False).flat):
        axes.axis("off")
        if number < len(frames):
            axes.imshow(frames[number])
    spectrograms = [] if seen.audio is None else list(seen.audio[:, 1].numpy())  # each (H, W)
    *left, bars = np.atleast_1d(below.subplots(1, len(spectrograms) + 1))
    for number, (axes, audio) in enumerate(zip(left, spectrograms, strict=True), 1):
        axes.imshow(audio, origin="lower", aspect="auto", cmap="magma")
        silent = "" if seen.prediction.has_audio else ", silent"
        axes.set(title=f"audio {number}{silent}", xlabel="time", ylabel="mel band", xticks=[], yticks=[])
    names = [literally(one.name) for one in seen.prediction.classes[::-1]]
    if isinstance(task, NumberTask):
        values = seen.probabilities.tolist()
        texts = [literally(task.output_text(number, value)) for number, value in enumerate(values)][::-1]
        percent = [100 * share for share in task.shares(values)][::-1]
    else:
        percent = [100 * probability_of(one) for one in seen.prediction.classes[::-1]]
        texts = [f"{share:.1f} %" for share in percent]
    drawn = bars.barh(range(len(names)), percent, color="tab:blue", tick_label=names)
    bars.bar_label(drawn, texts, padding=3)
    along = "place in the range of the number (%)" if isinstance(task, NumberTask) else "probability (%)"
    bars.set(xlim=(0, 100), xlabel=along, xticks=range(0, 101, 25))
    figure.savefig(path, dpi=DPI)
    return figure


def draw_explanation(
    seen: PredictedClip, explanation: Explanation, names: Sequence[str], path: str | Path, task: AnyTask = CLASSES
) -> Figure:
    """Draw as a PNG: a heat map over the grey frames and over the middle one of the audio's three windows.

    Frames have one scale and spectrograms another; the numbers are each segment's share of the evidence.

    Args:
        seen: what `Predictor.predict_all` found.
        explanation: of any of the C classes.
        names: of these.
        path: PNG file to write.
        task: what was predicted.
    """
    frames = seen.video.clamp(0, 1).mean(1).numpy()  # (S, 3, H, W) -> (S, H, W)
    spectrograms = np.empty((0, 1, 1)) if seen.audio is None else seen.audio[:, 1].numpy()  # (A, H, W)
    columns = min(IN_A_ROW, len(frames))
    rows = -(-len(frames) // columns)
    figure = Figure(figsize=(13, 1.5 + 1.8 * rows * 8 / columns + 3.2 * bool(len(spectrograms))), layout="constrained")
    figure.suptitle(literally(_title(seen, explanation, names, task)))
    figure.supxlabel(_legend(explanation, bool(len(spectrograms)), task.kind), fontsize=9)
    above, *below = _rows(figure, 1.8 * rows * 8 / columns, *([3.2] if len(spectrograms) else []))
    grid = above.subplots(rows, columns, squeeze=False)
    for number, axes in enumerate(grid.flat):
        axes.axis("off")
        if number < len(frames):
            axes.imshow(frames[number], cmap="gray", vmin=0, vmax=1)
            heat = _heat(axes, explanation.video[number].numpy())
            axes.set_title(f"frame {number + 1}{_share(explanation, number)}", fontsize=9)
    _bar(above, heat, grid, "frames")
    if below:
        _draw_spectrograms(below[0], spectrograms, seen, explanation)
    figure.savefig(path, dpi=DPI)
    return figure


def _draw_spectrograms(
    figure: SubFigure, spectrograms: np.ndarray, seen: PredictedClip, explanation: Explanation
) -> None:
    assert explanation.audio is not None
    row = figure.subplots(1, len(spectrograms), squeeze=False)[0]
    for number, axes in enumerate(row):
        axes.imshow(spectrograms[number], origin="lower", aspect="auto", cmap="gray")
        heat = _heat(axes, explanation.audio[number].numpy(), origin="lower", aspect="auto")
        silent = "" if seen.prediction.has_audio else ", silent"
        share = _share(explanation, len(seen.video) + number)
        axes.set(title=f"audio {number + 1}{silent}{share}", xlabel="time", ylabel="mel band", xticks=[], yticks=[])
    _bar(figure, heat, row, "audio")


def _rows(figure: Figure, *heights: float) -> list[SubFigure]:
    """Subfigures below each other, of these relative heights."""
    return list(figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False).flat)


def _title(seen: PredictedClip, explanation: Explanation, names: Sequence[str], task: AnyTask) -> str:
    file, label = seen.prediction.title, explanation.label
    what = "no evidence" if explanation.is_empty else "evidence"
    return f"{file}: {what} for {names[label]!r} ({task.output_text(label, float(seen.probabilities[label]))})"


def _legend(explanation: Explanation, has_audio: bool, kind: str) -> str:
    """What the colors and the numbers mean."""
    spectrograms = "log-mel spectrograms (middle window; light: loud)" if has_audio else ""
    grey = " and ".join(filter(None, ("grey: the frames", spectrograms)))
    if explanation.is_empty:
        return f"{grey}. No heat: no place raises the logit of the {kind} (Grad-CAM is zero everywhere)."
    return f"{grey}. Heat: what raises the logit of the {kind} (Grad-CAM). %: share of this segment."


def _share(explanation: Explanation, segment: int) -> str:
    return "" if explanation.is_empty else f": {explanation.share[segment]:.0%}"


def _bar(figure: SubFigure, heat: AxesImage, grid: np.ndarray, what: str) -> None:
    """The color scale: one for the frames, one for the audio."""
    bar = figure.colorbar(
        heat, ax=grid, label=f"heat: 0 is transparent, 1 the\nstrongest place of the {what}", shrink=0.9
    )
    bar.set_ticks([0, 0.5, 1])


def _heat(axes: Axes, strength: np.ndarray, **layout: Any) -> AxesImage:
    return axes.imshow(strength, cmap="inferno", vmin=0, vmax=1, alpha=STRONGEST * np.sqrt(strength), **layout)


def draw_timeline(seen: PredictedTimeline, names: tuple[str, ...], path: str | Path, task: AnyTask = CLASSES) -> Figure:
    """Draw a timeline as a PNG; each window is a point in its middle, one that cannot be read a gap.

    Args:
        seen: what `tsam_dali.inference.timeline.make_timeline` found.
        names: of the C classes.
        path: PNG file to write.
        task: what was predicted; of numbers the place in their range is drawn.
    """
    timeline = seen.timeline
    middles = [(window.start + window.end) / 2 for window in timeline.windows]
    figure = Figure(figsize=(12, 5.6), layout="constrained")
    silent = "" if timeline.has_audio else ", silent"
    title = f"{Path(timeline.path).name}{silent}: windows of {timeline.window:g} s every {timeline.stride:g} s"
    figure.suptitle(literally(title))
    above, below = _rows(figure, 1.4, 4.2)
    row = above.subplots(1, len(seen.stills), squeeze=False)[0]
    for axes, (number, still) in zip(row, seen.stills.items(), strict=True):
        axes.imshow(still.clamp(0, 1).permute(1, 2, 0).numpy())  # (3, H, W) -> (H, W, 3)
        axes.set_title(f"{middles[number]:.1f} s", fontsize=9)
        axes.axis("off")
    axes = below.subplots()
    shares = seen.probabilities
    if isinstance(task, NumberTask):
        shares = np.array([task.shares(values) for values in shares.tolist()])
    highest = np.nanmax(shares, axis=0)
    for label in sorted(np.argsort(-highest, kind="stable")[:SHOWN]):
        axes.plot(
            middles,
            100 * shares[:, label],
            "o-",
            markersize=4,
            clip_on=False,
            label=literally(_with_range(names, label, task)),
        )
    along = "place in the range of the number (%)" if isinstance(task, NumberTask) else "probability (%)"
    axes.set(xlim=(0, timeline.duration), ylim=(0, 100), xlabel="time (s)", ylabel=along)
    axes.grid(alpha=0.3)
    below.legend(loc="outside right upper", fontsize=9, title=task.kind)
    figure.savefig(path, dpi=DPI)
    return figure


def _with_range(names: Sequence[str], number: int, task: AnyTask) -> str:
    if not isinstance(task, NumberTask):
        return names[number]
    low, high = task.targets.numbers[number].range
    return f"{names[number]} ({low:g} to {high:g} {task.units[number]}".rstrip() + ")"
