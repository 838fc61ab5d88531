"""Plots of a run: curves and confusion. Shapes: C classes.

Matplotlib is imported inside the functions, as its import takes long, and used through `Figure` alone: no display, no
global state.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from pipelines.files.words import counted
from tsam_dali.training.task import ClassTask, Task

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 120
COLORS = {"training": "tab:blue", "validation": "tab:orange"}
CELL_NUMBERS_UP_TO = 12  # classes; with more, the counts of a confusion matrix do not fit into its cells
CLASS_NAMES_UP_TO = 40  # classes; with more, the names along its sides overlap


def plot_curves(
    history: Sequence[dict[str, Any]], path: str | Path | BinaryIO, smooth_epochs: float = 0, task: Task | None = None
) -> Figure:
    """Draw loss, scores and learning rate of every epoch as a PNG.

    Args:
        history: the records of kind epoch of metrics.jsonl: "epoch" (counted from 0), "training" and, where the epoch
            was validated, "validation" with "loss", "accuracy" and "balanced_accuracy" (0..1), and "lr".
        path: PNG file to write.
        smooth_epochs: of OptimizerParam; from then on the rate falls in steps.
        task: default: classes, whose scores are the two accuracies.
    """
    from matplotlib.figure import Figure

    task = task or ClassTask()
    figure = Figure(figsize=(13, 4))
    loss, accuracy, rate = _grid(figure, 1, 3).flat
    for split, color in COLORS.items():
        records = [record for record in history if record.get(split)]
        epochs = [record["epoch"] for record in records]
        curves: list[tuple[Axes, str, str, str, float]] = [(loss, "loss", split, "o-", 1)]
        if task.kind == "class":
            curves += [(accuracy, "accuracy", split, "o-", 100)]
            curves += [(accuracy, "balanced_accuracy", f"{split}, balanced", "o:", 100)]
        elif split == "validation":
            curves += [(accuracy, key, title, "o-", 1) for key, title in task.shown.items() if key != "mae"]
        for axes, key, label, style, factor in curves:
            values = [factor * _defined(record[split][key]) for record in records]
            own: dict[str, Any] = {"color": color} if axes is loss or task.kind == "class" else {}
            axes.plot(epochs, values, style, label=label, markersize=3, clip_on=task.kind != "class", **own)
    rates = [record["lr"] for record in history]
    epochs = [record["epoch"] for record in history]
    rate.plot(epochs, rates, "o", color="tab:green", markersize=3, clip_on=False)
    middles = [epoch - 0.5 for epoch in epochs]  # between two points
    rate.plot(*_rate_line(epochs, rates, middles, epochs, smooth_epochs), "-", color="tab:green")

    _label(loss, "Loss", task.loss_name)
    if task.kind == "class":
        _label(accuracy, "Accuracy", "clips classified correctly (%)")
        accuracy.set_ylim(0, 100)
    else:
        _label(accuracy, "Validation scores", "score (0 to 1)" if task.kind == "label" else "score (at most 1)")
        accuracy.set_ylim(0 if task.kind == "label" else None, 1.02)
    _label(rate, "Learning rate", "learning rate at the end of the epoch")
    loss.set_ylim(bottom=0)
    if max(rates) / 1000 < min(rates) < max(rates) / 20:  # steps; a cosine that ends near zero reads better linearly
        rate.set_yscale("log")
    else:
        rate.set_ylim(bottom=0)
    loss.legend()
    accuracy.legend(fontsize="small")
    figure.savefig(path, dpi=DPI)
    return figure


def _defined(score: float | None) -> float:
    return float("nan") if score is None else score


def _rate_line(
    places: Sequence[float],
    rates: Sequence[float],
    changes: Sequence[float],
    epochs: Sequence[int],
    smooth_epochs: float,
) -> tuple[list[float], list[float]]:
    """The places and rates of a line through all points that falls in steps: before each point, at the place that
    `changes` has for it. Points of an epoch before `smooth_epochs` are joined directly."""
    x: list[float] = []
    y: list[float] = []
    for place, rate, change, epoch in zip(places, rates, changes, epochs, strict=True):
        if x and epoch >= smooth_epochs:
            x += [change, change]
            y += [y[-1], rate]
        x.append(place)
        y.append(rate)
    return x, y


def literally(text: str) -> str:
    """For Matplotlib, which reads text between dollar signs as mathematics and refuses bytes that are not UTF-8."""
    return text.replace("$", r"\$").encode(errors="backslashreplace").decode()


def _grid(figure: Figure, rows: int, columns: int) -> np.ndarray:
    """Axes in rows and columns. To fit them to their labels (`layout`) would take as long as drawing them."""
    width, height = figure.get_size_inches()
    left, right, bottom, top = 0.95, 0.25, 0.6, 0.4  # inches around each
    figure.subplots_adjust(
        left=left / width,
        right=1 - right / width,
        bottom=bottom / height,
        top=1 - top / height,
        wspace=(left + right) / (width / columns - left - right),
        hspace=(bottom + top) / (height / rows - bottom - top),
    )
    axes: np.ndarray = figure.subplots(rows, columns, squeeze=False)
    return axes


def _label(axes: Axes, title: str, unit: str, along: str = "epoch") -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set(title=title, xlabel=along, ylabel=unit)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(alpha=0.3)


def plot_steps(
    records: Sequence[dict[str, Any]], path: str | Path | BinaryIO, smooth_epochs: float = 0, task: Task | None = None
) -> Figure:
    """Draw the figures of windows of training steps as a PNG.

    Args:
        records: the records of kind steps of metrics.jsonl; a figure that is None leaves a gap.
        path: PNG file to write.
        smooth_epochs: of OptimizerParam; from then on the rate falls in steps.
        task: default: classes.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 7))
    steps = [record["step"] for record in records]
    for axes, (key, title, unit, factor) in zip(
        _grid(figure, 2, 3).flat,
        (
            ("clips_per_second", "Throughput", "clips/s", 1),
            ("data_wait", "Data wait", "share of the time (%)", 100),
            ("memory_mb", "Memory", "MB", 1),
            ("loss", "Training loss", (task or ClassTask()).loss_name, 1),
            ("lr", "Learning rate", "learning rate", 1),
            ("gradient_norm", "Gradient", "norm", 1),
        ),
        strict=True,
    ):
        values = [float("nan") if record[key] is None else factor * record[key] for record in records]
        if key == "lr":  # a window ends with its epoch, so the rate falls at the end of a window
            epochs = [record["epoch"] for record in records]
            axes.plot(steps, values, "C0o", markersize=2, clip_on=False)
            axes.plot(*_rate_line(steps, values, [0, *steps[:-1]], epochs, smooth_epochs), "C0-", linewidth=1)
        else:
            axes.plot(steps, values, "o-", markersize=2, linewidth=1, clip_on=False)
        _label(axes, title, unit, "step")
        axes.set_ylim(0, 100 if key == "data_wait" else None)
    figure.savefig(path, dpi=DPI)
    return figure


def plot_confusion(matrix: np.ndarray, class_names: Sequence[str], path: str | Path | BinaryIO, of: str = "") -> Figure:
    """Draw a confusion matrix as a PNG: the color is the share of the label's clips, the numbers are clips.

    Args:
        matrix: (C, C) numbers of clips; row = label, column = prediction.
        class_names: C names. Shown at the sides up to 40 classes; beyond, the numbers of some classes.
        path: PNG file to write.
        of: what the title says of the predictions, such as "without audio".
    """
    from matplotlib.colors import PowerNorm
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    matrix, names = np.asarray(matrix), [literally(name) for name in class_names]
    count, total = len(matrix), matrix.sum()
    share = 100 * matrix / np.maximum(matrix.sum(1, keepdims=True), 1)  # a class without clips is a row of zeros

    side = np.interp(count, [2, 12, 40], [5, 8, 11])  # inches
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    # The square root makes small shares visible, which are the mistakes.
    image = axes.imshow(share, cmap="Blues", norm=PowerNorm(0.5, 0, 100), interpolation="nearest")
    numbers = "; the numbers are clips" if count <= CELL_NUMBERS_UP_TO else ""
    bar = figure.colorbar(image, label=f"color: share of the clips of a label (%){numbers}", shrink=0.8)
    bar.set_ticks([0, 5, 20, 40, 60, 80, 100])
    accuracy = matrix.trace() / max(total, 1)
    axes.set(
        xlabel="prediction",
        ylabel="label",
        title=f"Confusion{of and f' {of}'}: {accuracy:.1%} of {counted(int(total), 'clip')} correct",
    )
    if count <= CLASS_NAMES_UP_TO:
        angle = 45 if count <= CELL_NUMBERS_UP_TO else 90
        axes.set_xticks(range(count), names, rotation=angle, ha="right", va="center", rotation_mode="anchor")
        axes.set_yticks(range(count), names)
    else:
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(10, integer=True))
        axes.set(xlabel="prediction (number of the class)", ylabel="label (number of the class)")
    if count <= CELL_NUMBERS_UP_TO:
        for (row, column), number in np.ndenumerate(matrix):
            color = "white" if share[row, column] > 30 else "black"
            axes.text(column, row, str(number), ha="center", va="center", color=color)
    figure.savefig(path, dpi=DPI)
    return figure
