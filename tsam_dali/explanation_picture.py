"""A picture of one explanation: the frames and the log-mel pictures, and over them what speaks for the class."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.image import AxesImage

from tsam_dali.explanation import Explanation
from tsam_dali.predictor import Seen
from tsam_dali.report.plots import DPI, literally

IN_A_ROW = 8
"""Frames."""
STRONGEST = 0.7
"""Opacity of the heat where it is strongest; where nothing speaks for the class it is clear."""


def draw_explanation(seen: Seen, explanation: Explanation, names: Sequence[str], path: str | Path) -> Figure:
    """Draw as a PNG: heat over the grey frames and over the middle one of the sound's three windows.

    Frames have one scale and the sound its own; the numbers say how much of all that speaks for the class is where.

    Args:
        seen: what `Predictor.predict_all` found.
        explanation: of any of the C classes.
        names: of these.
        path: PNG file to write.
    """
    frames = seen.video.clamp(0, 1).mean(1).numpy()  # (S, 3, H, W) -> (S, H, W)
    sounds = np.empty((0, 1, 1)) if seen.audio is None else seen.audio[:, 1].numpy()  # (A, H, W)
    columns = min(IN_A_ROW, len(frames))
    rows = -(-len(frames) // columns)
    figure = Figure(figsize=(13, 1.5 + 1.8 * rows * 8 / columns + 3.2 * bool(len(sounds))), layout="constrained")
    figure.suptitle(literally(_title(seen, explanation, names)))
    figure.supxlabel(_legend(explanation, bool(len(sounds))), fontsize=9)
    heights = [1.8 * rows * 8 / columns, *([3.2] if len(sounds) else [])]
    above, *below = np.atleast_1d(figure.subfigures(len(heights), 1, height_ratios=heights))
    grid = above.subplots(rows, columns, squeeze=False)
    for number, axes in enumerate(grid.flat):
        axes.axis("off")
        if number < len(frames):
            axes.imshow(frames[number], cmap="gray", vmin=0, vmax=1)
            heat = _heat(axes, explanation.video[number].numpy())
            axes.set_title(f"frame {number + 1}{_share(explanation, number)}", fontsize=9)
    _bar(above, heat, grid, "frames")
    row = below[0].subplots(1, len(sounds), squeeze=False)[0] if below else ()
    for number, axes in enumerate(row):
        axes.imshow(sounds[number], origin="lower", aspect="auto", cmap="gray")
        heat = _heat(axes, explanation.audio[number].numpy(), origin="lower", aspect="auto")
        silent = "" if seen.prediction.has_sound else ", silent"
        share = _share(explanation, len(frames) + number)
        axes.set(title=f"sound {number + 1}{silent}{share}", xlabel="time", ylabel="mel band", xticks=[], yticks=[])
    if below:
        _bar(below[0], heat, row, "sound")
    figure.savefig(path, dpi=DPI)
    return figure


def _title(seen: Seen, explanation: Explanation, names: Sequence[str]) -> str:
    file, label = Path(seen.prediction.path).name, explanation.label
    what = "nothing speaks" if explanation.is_empty else "what speaks"
    return f"{file}: {what} for {names[label]!r} ({seen.probabilities[label]:.1%})"


def _legend(explanation: Explanation, has_sound: bool) -> str:
    """What the colours and the numbers mean."""
    pictures = "log-mel pictures (middle window; light: loud)" if has_sound else ""
    grey = " and ".join(filter(None, ("grey: the frames", pictures)))
    if explanation.is_empty:
        return f"{grey}. No heat: no place raises the logit of the class (Grad-CAM is zero everywhere)."
    return f"{grey}. Heat: what raises the logit of the class (Grad-CAM). %: share of all that does, in this picture."


def _share(explanation: Explanation, segment: int) -> str:
    return "" if explanation.is_empty else f": {explanation.share[segment]:.0%}"


def _bar(figure: SubFigure, heat: AxesImage, grid: np.ndarray, what: str) -> None:
    """The scale of the heat, which the frames have in common and the sound has for itself."""
    bar = figure.colorbar(heat, ax=grid, label=f"heat: clear is 0, 1 the\nstrongest place of the {what}", shrink=0.9)
    bar.set_ticks([0, 0.5, 1])


def _heat(axes: Axes, strength: np.ndarray, **how: str) -> AxesImage:
    return axes.imshow(strength, cmap="inferno", vmin=0, vmax=1, alpha=STRONGEST * np.sqrt(strength), **how)
