"""The plot of numbers: predictions over the numbers of the list."""

from pathlib import Path
from typing import BinaryIO

import numpy as np
from matplotlib.figure import Figure

from tsam_dali.report.plots import DPI, literally
from tsam_dali.training.tasks import NumberTask

IN_A_ROW = 4
"""Numbers."""


def plot_numbers(
    target: np.ndarray, output: np.ndarray, task: NumberTask, path: str | Path | BinaryIO, of: str = ""
) -> Figure:
    """Draw as a PNG: for each number a point per clip, prediction over target, and the line of equal values.

    Args:
        target, output: (n, K).
        path: PNG file to write.
        of: what the title says of the predictions, such as "without audio".
    """
    columns = min(IN_A_ROW, len(task.names))
    rows = -(-len(task.names) // columns)
    figure = Figure(figsize=(0.5 + 3.6 * columns, 0.4 + 3.6 * rows), layout="constrained")
    if of:
        figure.suptitle(of)
    for number, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        if number >= len(task.names):
            axes.axis("off")
            continue
        low, high = task.targets.numbers[number].range
        unit = f" ({task.units[number]})" if task.units[number] else ""
        axes.axline((low, low), (high, high), color="tab:gray", linewidth=1)
        axes.plot(target[:, number], output[:, number], "o", markersize=3, alpha=0.6, clip_on=False)
        axes.set(xlim=(low, high), ylim=(low, high), aspect="equal", title=literally(task.names[number]))
        axes.set(xlabel=literally(f"in the list{unit}"), ylabel=literally(f"predicted{unit}"))
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=DPI)
    return figure
