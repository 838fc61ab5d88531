"""Plots of the benchmarks: one look for all. Matplotlib through `Figure` alone: no display, no global state."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

DPI = 140
OURS, OTHERS, INK, PALE = "#0b7285", "#adb5bd", "#343a40", "#dee2e6"


class Bar(NamedTuple):
    """One bar of a panel, with its quartiles as a whisker."""

    label: str
    median: float
    q1: float
    q3: float
    ours: bool


class Panel(NamedTuple):
    """A group of bars that may be compared with each other."""

    title: str
    unit: str
    bars: Sequence[Bar]


def plot_bars(path: str | Path, panels: Sequence[Panel], *, title: str, columns: int = 2) -> None:
    """Draw panels of horizontal bars as a PNG, in the order given; all start at zero, each has a scale of its own."""
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    tallest = max(len(panel.bars) for panel in panels)
    figure = Figure(figsize=(5.4 * columns, rows * (0.75 + 0.36 * tallest) + 0.7), layout="constrained")
    figure.suptitle(title, fontsize=13, color=INK, fontweight="bold")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, panel in zip(grid, panels, strict=False):
        _draw(axes, panel)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    figure.savefig(path, dpi=DPI, facecolor="white")


def _draw(axes: Axes, panel: Panel) -> None:
    places = range(len(panel.bars))
    widest = max(bar.q3 for bar in panel.bars)
    axes.barh(
        places,
        [bar.median for bar in panel.bars],
        height=0.66,
        color=[OURS if bar.ours else OTHERS for bar in panel.bars],
        xerr=[[bar.median - bar.q1 for bar in panel.bars], [bar.q3 - bar.median for bar in panel.bars]],
        error_kw={"ecolor": INK, "elinewidth": 1, "capsize": 2},
    )
    for place, bar in zip(places, panel.bars, strict=True):
        weight = "bold" if bar.ours else "normal"
        text = f"{bar.median:.0f}" if bar.median >= 100 else f"{bar.median:.3g}"
        axes.text(bar.q3 + 0.02 * widest, place, text, va="center", color=INK, fontsize=9, fontweight=weight)
    axes.set_yticks(places, [bar.label for bar in panel.bars], fontsize=9, color=INK)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.14 * widest)
    axes.set_title(panel.title, fontsize=10, color=INK, loc="left")
    axes.set_xlabel(panel.unit, color=INK, fontsize=9)
    tidy(axes)
    axes.spines["left"].set_visible(False)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)


def tidy(axes: Axes) -> None:
    """Pale grid and axes, no frame."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(PALE)
    axes.tick_params(colors=INK, labelsize=9)
    axes.grid(color=PALE, linewidth=0.8)
    axes.set_axisbelow(True)
