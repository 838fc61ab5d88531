"""What the trainings found, as pictures: the accuracy of each variant and seed, and confusion matrices."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from benchmarks.harness.plots import DPI, INK, OTHERS, OURS, PALE
from benchmarks.real_data.variants import WHOLE
from tsam_dali.report.plots import plot_confusion

Figures = Sequence[Mapping[str, Any]]


def by_variant(figures: Figures) -> dict[str, dict[str, list[Mapping[str, Any]]]]:
    """Set -> probe or variant -> its figures, one a seed."""
    found: dict[str, dict[str, list[Mapping[str, Any]]]] = {}
    for figure in figures:
        found.setdefault(figure["set"], {}).setdefault(figure["variant"], []).append(figure)
    return found


def plot_accuracies(figures: Figures, path: Path) -> None:
    """A panel for each set, a row for each variant: the mean as a bar, the seeds as dots."""
    sets = by_variant(figures)
    tallest = max(map(len, sets.values()))
    picture = Figure(figsize=(5.2 * len(sets), 1.3 + 0.42 * tallest), layout="constrained")
    picture.suptitle("Real videos: validation accuracy", color=INK, weight="bold")
    for axes, (name, variants) in zip(picture.subplots(1, len(sets), squeeze=False)[0], sets.items(), strict=True):
        for place, (variant, members) in enumerate(variants.items()):
            scores = [100 * figure["accuracy"] for figure in members]
            axes.barh(place, statistics.mean(scores), height=0.62, color=OURS if variant == WHOLE else OTHERS)
            axes.plot(scores, [place] * len(scores), "o", color=INK, markersize=4, alpha=0.7)
        axes.set_yticks(range(len(variants)), list(variants), fontsize=9, color=INK)
        axes.invert_yaxis()
        axes.set_xlim(0, 100)
        axes.set_title(f"{name}, %; dots: seeds", loc="left", fontsize=10, color=INK)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", color=PALE)
        axes.set_axisbelow(True)
    picture.savefig(path, dpi=DPI, facecolor="white")


def plot_confusions(figures: Figures, class_names: Mapping[str, Sequence[str]], path: Path) -> None:
    """A confusion matrix for each set, summed over the seeds of the recipe: `path` with the name of the set added."""
    for name, variants in by_variant(figures).items():
        matrices = [np.array(figure["confusion"]) for figure in variants.get(WHOLE, ())]
        if matrices:
            names = class_names[name] or [str(label) for label in range(len(matrices[0]))]
            plot_confusion(np.sum(matrices, axis=0), names, path.with_name(f"{path.stem}_{name}.png"), f"of {name}")
