"""A picture of one prediction: the frames that the network saw, the log-mel pictures, the bars of the classes."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from tsam_dali.predictor import Seen
from tsam_dali.report.plots import DPI, literally

IN_A_ROW = 8
"""Frames."""
HIGHEST = 3
"""Inches of a frame."""


def draw_prediction(seen: Seen, path: str | Path) -> Figure:
    """Draw a prediction as a PNG; only the middle one of the three windows of the sound is shown.

    Args:
        seen: what `Predictor.predict_all` found; without sound segments there is no picture of the sound.
        path: PNG file to write.
    """
    frames = seen.video.clamp(0, 1).permute(0, 2, 3, 1).numpy()  # (S, 3, H, W) -> (S, H, W, 3)
    columns = min(IN_A_ROW, len(frames))
    rows = -(-len(frames) // columns)
    height = rows * min(12 / columns, HIGHEST)
    figure = Figure(figsize=(12, 3.4 + height), layout="constrained")
    figure.suptitle(literally(Path(seen.prediction.path).name))
    above, below = figure.subfigures(2, 1, height_ratios=[height, 3.4])
    for number, axes in enumerate(above.subplots(rows, columns, squeeze=False).flat):
        axes.axis("off")
        if number < len(frames):
            axes.imshow(frames[number])
    sounds = [] if seen.audio is None else list(seen.audio[:, 1].numpy())  # each (H, W)
    *left, bars = np.atleast_1d(below.subplots(1, len(sounds) + 1))
    for number, (axes, sound) in enumerate(zip(left, sounds, strict=True), 1):
        axes.imshow(sound, origin="lower", aspect="auto", cmap="magma")
        silent = "" if seen.prediction.has_sound else ", silent"
        axes.set(title=f"sound {number}{silent}", xlabel="time", ylabel="mel band", xticks=[], yticks=[])
    classes = seen.prediction.classes[::-1]
    percent, names = [100 * one.probability for one in classes], [literally(one.name) for one in classes]
    drawn = bars.barh(range(len(classes)), percent, color="tab:blue", tick_label=names)
    bars.bar_label(drawn, fmt="%.1f %%", padding=3)
    bars.set(xlim=(0, 100), xlabel="probability (%)", xticks=range(0, 101, 25))
    figure.savefig(path, dpi=DPI)
    return figure
