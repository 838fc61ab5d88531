"""Plots of the benchmarks, each a PNG beside the file of results `path`: one look for all.

Matplotlib through `Figure` alone: no display, no global state.
"""

import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

DPI = 140
OURS, OTHERS, INK, PALE = "#0b7285", "#adb5bd", "#343a40", "#dee2e6"
QUARTILES = ("median", "q1", "q3")


class Bar(NamedTuple):
    """One bar of a panel, with its quartiles as a whisker."""

    label: str
    median: float
    q1: float
    q3: float
    ours: bool


class Panel(NamedTuple):
    """Bars that may be compared with each other."""

    title: str  # with the unit
    bars: Sequence[Bar]


def panel(title: str, figures: Iterable[Mapping[str, Any]], label: str, key: str, ours: Callable[[str], bool]) -> Panel:
    """A bar for each figure: its text `label`, its number `key`, and whether a text is the name of one of `ours`."""
    numbers = [(f[label], f[key] if isinstance(f[key], dict) else dict.fromkeys(QUARTILES, f[key])) for f in figures]
    return Panel(title, [Bar(name, **number, ours=ours(name)) for name, number in numbers])


def plot_figures(
    path: Path,
    figures: Sequence[Mapping[str, Any]],
    label: str,
    panels: Mapping[str, str],
    *,
    ours: Callable[[str], bool],
    title: str,
) -> None:
    """Draw a panel for each number of all figures: its title with unit -> key; others as for `panel`."""
    plot_bars(path, [panel(name, figures, label, key, ours) for name, key in panels.items()], title=title)


def plot_bars(path: Path, panels: Sequence[Panel], *, title: str, columns: int = 2) -> None:
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
    figure.savefig(path.with_suffix(".png"), dpi=DPI, facecolor="white")


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
    axes.set_title(textwrap.fill(panel.title, 40), fontsize=10, color=INK, loc="left")
    _tidy(axes)
    axes.spines["left"].set_visible(False)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)


class Line(NamedTuple):
    """A line of a plot."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    color: str
    style: str = "-"


def plot_lines(path: Path, panels: Mapping[str, Sequence[Line]], *, title: str, along: str, log: bool = False) -> None:
    """Draw lines side by side as a PNG; title with unit -> lines of a panel; along: what the x axis shows."""
    figure = Figure(figsize=(4 * len(panels), 4.2), layout="constrained")
    figure.suptitle(title, fontsize=13, color=INK, fontweight="bold")
    for axes, (what, lines) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for line in lines:
            axes.plot(line.x, line.y, line.style, label=line.label, color=line.color, linewidth=1.8)
        axes.set_xscale("log" if log else "linear")
        axes.set_title(what, loc="left", fontsize=10, color=INK)
        axes.set_xlabel(along, color=INK, fontsize=9)
        axes.set_ylim(0, 1.35 * axes.get_ylim()[1])
        axes.legend(fontsize=8, frameon=False, loc="upper left", ncols=2)
        _tidy(axes)
    figure.savefig(path.with_suffix(".png"), dpi=DPI, facecolor="white")


class Point(NamedTuple):
    """A point of a plot where less is better along both axes."""

    label: str
    x: float
    y: float
    ours: bool


def plot_points(path: Path, panels: Mapping[str, Sequence[Point]], *, title: str, along: str) -> None:
    """Draw points side by side as a PNG; title with unit -> points of a panel; along: what the x axis shows.

    Points are numbered, the same in all panels, and named beside them. A line joins those that no other one beats along
    both axes.
    """
    figure = Figure(figsize=(4.4 * len(panels) + 3, 5.4), layout="constrained")
    figure.suptitle(title, fontsize=13, color=INK, fontweight="bold")
    *grid, names = figure.subplots(1, len(panels) + 1, squeeze=False)[0]
    for axes, (what, points) in zip(grid, panels.items(), strict=True):
        front = [one for one in points if not any(_beats(other, one) for other in points)]
        front.sort(key=lambda point: point.x)
        axes.plot([point.x for point in front], [point.y for point in front], color=INK, linewidth=1)
        for number, point in enumerate(points, 1):
            weight = "bold" if point.ours else "normal"
            axes.plot(point.x, point.y, "o", color=OURS if point.ours else OTHERS)
            place = {"xytext": (4, 4), "textcoords": "offset points"}
            axes.annotate(str(number), (point.x, point.y), **place, fontsize=8, color=INK, fontweight=weight)
        axes.set_title(textwrap.fill(what, 40), loc="left", fontsize=10, color=INK)
        axes.set_xlabel(along, color=INK, fontsize=9)
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("{x:g}")
        axes.set_xlim(left=0)
        _tidy(axes)
        axes.tick_params(which="minor", colors=INK, labelsize=8)
    text = "\n".join(f"{number}  {point.label}" for number, point in enumerate(points, 1))
    names.text(0, 1, text, va="top", fontsize=9, color=INK, linespacing=1.6)
    names.set_axis_off()
    figure.savefig(path.with_suffix(".png"), dpi=DPI, facecolor="white")


def _beats(one: Point, other: Point) -> bool:
    return one.x <= other.x and one.y <= other.y and (one.x, one.y) != (other.x, other.y)


def _tidy(axes: Axes) -> None:
    """Pale grid and axes, no frame."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(PALE)
    axes.tick_params(colors=INK, labelsize=9)
    axes.grid(color=PALE, linewidth=0.8)
    axes.set_axisbelow(True)
