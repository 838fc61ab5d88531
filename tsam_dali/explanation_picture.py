"""A picture of one explanation: the frames and the log-mel pictures, and over them what speaks for the class."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tsam_dali.explanation import Explanation
from tsam_dali.predictor import Seen
from tsam_dali.report import DPI, literally

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
    figure = Figure(figsize=(13, 1 + 1.8 * rows * 8 / columns + 3.2 * bool(len(sounds))), layout="constrained")
    figure.suptitle(literally(_title(seen, explanation.label, names)))
    heights = [1.8 * rows * 8 / columns, *([3.2] if len(sounds) else [])]
    above, *below = np.atleast_1d(figure.subfigures(len(heights), 1, height_ratios=heights))
    grid = above.subplots(rows, columns, squeeze=False)
    for number, axes in enumerate(grid.flat):
        axes.axis("off")
        if number < len(frames):
            axes.imshow(frames[number], cmap="gray", vmin=0, vmax=1)
            heat = _heat(axes, explanation.video[number].numpy())
            axes.set_title(f"frame {number + 1}: {explanation.share[number]:.0%}", fontsize=9)
    above.colorbar(heat, ax=grid, label="part of the strongest place", ticks=[0, 0.5, 1], shrink=0.9)
    for number, axes in enumerate(below[0].subplots(1, len(sounds), squeeze=False)[0] if below else ()):
        axes.imshow(sounds[number], origin="lower", aspect="auto", cmap="gray")
        _heat(axes, explanation.audio[number].numpy(), origin="lower", aspect="auto")
        silent = "" if seen.prediction.has_sound else ", silent"
        share = explanation.share[len(frames) + number]
        axes.set(title=f"sound {number + 1}{silent}: {share:.0%}", xlabel="time", ylabel="mel band")
        axes.set(xticks=[], yticks=[])
    figure.savefig(path, dpi=DPI)
    return figure


def _title(seen: Seen, label: int, names: Sequence[str]) -> str:
    file, probability = Path(seen.prediction.path).name, seen.probabilities[label]
    return f"{file}: what speaks for {names[label]!r} ({probability:.1%})"


def _heat(axes: Axes, strength: np.ndarray, **how: str):
    return axes.imshow(strength, cmap="inferno", vmin=0, vmax=1, alpha=STRONGEST * np.sqrt(strength), **how)
