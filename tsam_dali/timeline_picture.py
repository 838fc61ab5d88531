"""A picture of one timeline: frames of its windows above the probabilities of its classes over time."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from tsam_dali.report.plots import DPI, literally
from tsam_dali.timeline import SeenTimeline

SHOWN = 8
"""Classes, those that are most probable anywhere."""


def draw_timeline(seen: SeenTimeline, names: tuple[str, ...], path: str | Path) -> Figure:
    """Draw a timeline as a PNG; each window is a point in its middle, one that cannot be read a gap.

    Args:
        seen: what `tsam_dali.timeline.make_timeline` found.
        names: of the C classes.
        path: PNG file to write.
    """
    timeline = seen.timeline
    middles = [(window.start + window.end) / 2 for window in timeline.windows]
    figure = Figure(figsize=(12, 5.6), layout="constrained")
    silent = "" if timeline.has_sound else ", silent"
    title = f"{Path(timeline.path).name}{silent}: windows of {timeline.window:g} s every {timeline.stride:g} s"
    figure.suptitle(literally(title))
    above, below = figure.subfigures(2, 1, height_ratios=[1.4, 4.2])
    row = above.subplots(1, len(seen.stills), squeeze=False)[0]
    for axes, (number, still) in zip(row, seen.stills.items(), strict=True):
        axes.imshow(still.clamp(0, 1).permute(1, 2, 0).numpy())  # (3, H, W) -> (H, W, 3)
        axes.set_title(f"{middles[number]:.1f} s", fontsize=9)
        axes.axis("off")
    axes = below.subplots()
    highest = np.nanmax(seen.probabilities, axis=0)
    for label in sorted(np.argsort(-highest, kind="stable")[:SHOWN]):
        axes.plot(
            middles,
            100 * seen.probabilities[:, label],
            "o-",
            markersize=4,
            clip_on=False,
            label=literally(names[label]),
        )
    axes.set(xlim=(0, timeline.duration), ylim=(0, 100), xlabel="time (s)", ylabel="probability (%)")
    axes.grid(alpha=0.3)
    below.legend(loc="outside right upper", fontsize=9, title="class")
    figure.savefig(path, dpi=DPI)
    return figure
