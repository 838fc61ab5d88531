"""Clips whose label is suspect: confident learning (Northcutt, Jiang, Chuang, 2021) on out-of-fold probabilities.

A clip is confidently of a class if its probability is at least the mean probability of that class among the clips that
are labelled so. Suspect are clips that are confidently of another class than their label says, but not of that one, or
less so. N clips, C classes.
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipelines.files.atomic import replacing

DECIMALS = 4


class Suspect(NamedTuple):
    """A clip with a suspect label."""

    row: int
    label: int
    suggested: int
    own: float  # probability of its label, 0..1
    other: float  # of the class that is suggested


def find_suspects(probabilities: np.ndarray, label: np.ndarray) -> list[Suspect]:
    """The most suspect first: those with the largest difference of the two probabilities.

    Args:
        probabilities: (N, C), of each clip by a probe that was trained without it.
        label: int (N,).
    """
    rows = np.arange(len(label))
    own = probabilities[rows, label]
    counts = np.bincount(label, minlength=probabilities.shape[1])
    thresholds = np.bincount(label, own, probabilities.shape[1]) / np.maximum(counts, 1)
    confident = np.where((probabilities >= thresholds) & (counts > 0), probabilities, -1.0)
    suggested = confident.argmax(1)
    wrong = (confident.max(1) > 0) & (suggested != label) & (probabilities[rows, suggested] > own)
    found = [
        Suspect(
            int(row), int(label[row]), int(suggested[row]), float(own[row]), float(probabilities[row, suggested[row]])
        )
        for row in np.flatnonzero(wrong)
    ]
    return sorted(found, key=lambda one: (one.own - one.other, one.row))


def write_suspects(path: Path, suspects: Sequence[Suspect], ids: Sequence[str], names: Sequence[str]) -> None:
    """Write them as a table, id first."""
    rows = io.StringIO(newline="")
    writer = csv.writer(rows)
    writer.writerow(["id", "label", "suggested", "probability of label", "probability of suggested"])
    for one in suspects:
        numbers = (f"{number:.{DECIMALS}f}" for number in (one.own, one.other))
        writer.writerow([ids[one.row], names[one.label], names[one.suggested], *numbers])
    with replacing(path) as temporary:
        temporary.write_text(rows.getvalue(), encoding="utf-8", errors="backslashreplace")
