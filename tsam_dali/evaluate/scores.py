"""Probabilities and labels -> the scores of an evaluation. Letters: N videos, C classes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

CALIBRATION_BINS = 15
"""Bins of equal width over the confidence 0..1, as in Guo et al., "On calibration of modern neural networks" (2017)."""
TOP = 5
"""The k of the top-k accuracy."""


def score(probabilities: np.ndarray, label: np.ndarray, expected: int) -> dict[str, Any]:
    """The scores of N > 0 scored videos out of `expected` ones; accuracies and calibration error are 0..1.

    `balanced_accuracy` is the mean recall of the classes that occur; in `mean_class_accuracy` a class that is predicted
    but does not occur counts as 0, as in mmaction2. `top5` is only there with more than five classes: with
    fewer it is always 1.

    Args:
        probabilities: (N, C).
        label: int (N,).
    """
    from sklearn.metrics import recall_score  # takes a second: not for training, which scores without

    prediction = probabilities.argmax(1)
    best = {}
    if probabilities.shape[1] > TOP:
        best[f"top{TOP}"] = float((top(probabilities, TOP) == label[:, None]).any(1).mean())
    return {
        "accuracy": float((prediction == label).mean()),
        **best,
        "balanced_accuracy": float(recall_score(label, prediction, labels=np.unique(label), average="macro")),
        "mean_class_accuracy": float(recall_score(label, prediction, average="macro", zero_division=0)),
        "calibration_error": calibration_error(probabilities, label),
        "scored": len(label),
        "expected": expected,
    }


def top(probabilities: np.ndarray, k: int) -> np.ndarray:
    """The k most probable classes of each video (all, if there are fewer), best first, int (N, k)."""
    return np.argsort(-probabilities, axis=1, kind="stable")[:, :k]


def calibration_error(probabilities: np.ndarray, label: np.ndarray) -> float:
    """Expected calibration error, 0..1: how far the confidence is from the accuracy, on average over the videos.

    The confidence is the probability of the prediction. Videos are sorted by it into `CALIBRATION_BINS` bins; each bin
    adds |accuracy - mean confidence| times its share of the videos.
    """
    confidence, right = probabilities.max(1), probabilities.argmax(1) == label
    place = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = np.bincount(place, right - confidence, CALIBRATION_BINS)  # sum over a bin's videos
    return float(np.abs(gaps).sum() / len(label))


def class_table(
    probabilities: np.ndarray, label: np.ndarray, expected: Sequence[int], names: Sequence[str]
) -> list[dict[str, Any]]:
    """A row for each class: its videos, expected and scored; recall, precision and F1 (0..1, 0 where undefined).

    Args:
        expected: labels of all videos of the list.
        names: C names.
    """
    from sklearn.metrics import precision_recall_fscore_support

    classes, prediction = range(len(names)), probabilities.argmax(1)
    figures = precision_recall_fscore_support(label, prediction, labels=classes, zero_division=0)
    videos = np.bincount(expected, minlength=len(names))
    return [
        {
            "label": c,
            "name": names[c],
            "expected": int(videos[c]),
            "scored": int(scored),
            "recall": float(recall),
            "precision": float(precision),
            "f1": float(f1),
        }
        for c, precision, recall, f1, scored in zip(classes, *figures, strict=True)
    ]
