"""The scores of a probe over the folds, and the table of all probes. N clips, C classes."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.files.words import counted
from tsam_dali.evaluate.scores import score
from tsam_dali.probe.folds import Fold

SHOWN = {"accuracy": "accuracy", "balanced_accuracy": "balanced", "top5": "top-5"}


@dataclass(frozen=True, kw_only=True)
class ProbeScores:
    """What a probe found about clips that it was not trained on."""

    probe: str  # linear, knn or attentive
    inputs: str  # frames, audio, both, average
    probabilities: np.ndarray  # float64 (N, C); zeros for clips that are not scored
    scored: np.ndarray  # bool (N,)
    folds: list[dict[str, Any]]  # of each fold its name, its scores and what was chosen inside it

    def mean(self, name: str) -> float:
        return statistics.fmean(fold[name] for fold in self.folds)

    def spread(self, name: str) -> float | None:
        """Standard deviation over the folds (n - 1); None for one."""
        return statistics.stdev(fold[name] for fold in self.folds) if len(self.folds) > 1 else None

    @property
    def title(self) -> str:
        return f"{self.probe}, {self.inputs}"

    @property
    def line(self) -> str:
        """For people."""
        cells = []
        for name, title in SHOWN.items():
            if name in self.folds[0]:
                spread = self.spread(name)
                around = "" if spread is None else f" ± {100 * spread:4.1f}"
                cells.append(f"{title} {100 * self.mean(name):5.1f}{around} %")
        return f"{self.title:20} {'  '.join(cells)}"

    def row(self) -> dict[str, Any]:
        """For a table."""
        cells: dict[str, Any] = {"probe": self.probe, "input": self.inputs}
        for name, title in SHOWN.items():
            if name in self.folds[0]:
                spread = self.spread(name)
                cells |= {title: f"{self.mean(name):.1%}", f"{title} spread": "" if spread is None else f"{spread:.1%}"}
        return cells

    def record(self) -> dict[str, Any]:
        """For JSON."""
        names = [name for name in SHOWN if name in self.folds[0]]
        means = {name: self.mean(name) for name in names}
        spreads = {name: self.spread(name) for name in names}
        return {"probe": self.probe, "input": self.inputs, "mean": means, "spread": spreads, "folds": self.folds}


def over_folds(
    probe: str,
    inputs: str,
    label: np.ndarray,
    num_class: int,
    folds: list[Fold],
    fit: Callable[[Fold], tuple[np.ndarray, float]],
) -> ProbeScores:
    """Train and score a probe on each fold.

    Args:
        fit: a fold -> the probabilities (n, C) of its scored clips, and what was chosen inside it.
    """
    probabilities, scored, records = np.zeros((len(label), num_class)), np.zeros(len(label), bool), []
    for fold in folds:
        found, chosen = fit(fold)
        probabilities[fold.scored], scored[fold.scored] = found, True
        measured = score(found, label[fold.scored], len(fold.scored))
        kept = {name: measured[name] for name in (*SHOWN, "calibration_error") if name in measured}
        records.append({"fold": fold.name, "clips": len(fold.scored), **kept, "chosen": chosen})
    return ProbeScores(probe=probe, inputs=inputs, probabilities=probabilities, scored=scored, folds=records)


def chance(label: np.ndarray, num_class: int) -> str:
    """What guessing reaches, for people."""
    largest = np.bincount(label, minlength=num_class).max() / len(label)
    return f"{counted(num_class, 'class', 'classes')}; always the largest class: {largest:.1%}"
