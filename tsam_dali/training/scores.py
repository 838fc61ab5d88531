"""The scores of labels and numbers, by scikit-learn. N clips, K labels or numbers.

scikit-learn and SciPy are imported inside the functions: that takes a second, and a training for classes does without.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

NUMBER_SCORES = ("mae", "r2", "spearman", "ccc")
THRESHOLD = 0.5
"""Probability from which on a label counts as found where no better one is known."""


def label_scores(target: np.ndarray, probability: np.ndarray, thresholds: Sequence[float] | None = None) -> dict:
    """Scores 0..1 of probabilities (N, K) for targets 0 or 1 (N, K); None where a score is undefined.

    `mAP`, `auroc` and `f1` are means over the labels that occur (auroc: that some clips have and others have not), the
    same with `_micro` count every pair of clip and label alike; `average_precisions` has one for each label. F1 is that
    at `thresholds`; without these, at those with the highest F1 of each label, see `best_thresholds`.
    """
    from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

    thresholds = best_thresholds(target, probability) if thresholds is None else list(thresholds)
    found, occurs = probability >= thresholds, np.flatnonzero(target.any(0))
    differs = [k for k in occurs if not target[:, k].all()]
    per_label = average_precisions(target, probability)
    micro = {
        "mAP_micro": float(average_precision_score(target, probability, average="micro")) if len(occurs) else None,
        "auroc_micro": float(roc_auc_score(target.ravel(), probability.ravel()))
        if len(occurs) and not target.all()
        else None,
        "f1_micro": float(f1_score(target.ravel(), found.ravel(), zero_division=0)) if len(occurs) else None,
    }
    return {
        "mAP": _mean(per_label),
        "auroc": _mean([float(roc_auc_score(target[:, k], probability[:, k])) for k in differs]),
        "f1": _mean([float(f1_score(target[:, k], found[:, k], zero_division=0)) for k in occurs]),
        **micro,
        "average_precisions": per_label,
        "thresholds": [float(threshold) for threshold in thresholds],
    }


def average_precisions(target: np.ndarray, probability: np.ndarray) -> list[float | None]:
    """The average precision of each label, None for one that does not occur."""
    from sklearn.metrics import average_precision_score

    return [
        float(average_precision_score(truth, found)) if truth.any() else None
        for truth, found in zip(target.T, probability.T, strict=True)
    ]


def best_thresholds(target: np.ndarray, probability: np.ndarray) -> list[float]:
    """For each label the probability from which on it counts as found, such that F1 is highest on these clips.

    It lies in the middle between the lowest probability above it and the highest one below. A label that does not
    occur has `THRESHOLD`.
    """
    from sklearn.metrics import precision_recall_curve

    chosen = []
    for truth, found in zip(target.T, probability.T, strict=True):
        if not truth.any():
            chosen.append(THRESHOLD)
            continue
        precision, recall, steps = precision_recall_curve(truth, found)
        both = precision[:-1] + recall[:-1]
        f1 = np.divide(2 * precision[:-1] * recall[:-1], both, out=np.zeros_like(both), where=both > 0)
        best = int(f1.argmax())
        middle = (steps[best - 1] + steps[best]) / 2 if best else steps[best]
        chosen.append(float(middle if best == 0 or middle > steps[best - 1] else steps[best]))
    return chosen


def label_table(
    target: np.ndarray, probability: np.ndarray, thresholds: Sequence[float], names: Sequence[str]
) -> list[dict[str, Any]]:
    """A row for each label: clips that have it, and its scores."""
    from sklearn.metrics import precision_recall_fscore_support, roc_auc_score

    found = probability >= thresholds
    rows = []
    for k, average in enumerate(average_precisions(target, probability)):
        truth, occurs = target[:, k], average is not None
        figures = precision_recall_fscore_support(truth, found[:, k], labels=[1], zero_division=0)
        precision, recall, f1 = (float(figure[0]) if occurs else None for figure in figures[:3])
        rows.append(
            {
                "label": k,
                "name": names[k],
                "clips": int(truth.sum()),
                "average_precision": average,
                "auroc": float(roc_auc_score(truth, probability[:, k])) if occurs and not truth.all() else None,
                "f1": f1,
                "precision": precision,
                "recall": recall,
                "accuracy": float((truth == found[:, k]).mean()),
                "threshold": float(thresholds[k]),
            }
        )
    return rows


def number_scores(target: np.ndarray, value: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """Scores of values (N, K) for targets (N, K), both in their units: means over the numbers, and of each (`numbers`).

    `mae` (mean absolute error), `r2`, `spearman` (rank correlation) and `ccc` (concordance correlation); None where a
    score is undefined.
    """
    each = {row["name"]: {key: row[key] for key in NUMBER_SCORES} for row in number_table(target, value, names)}
    means = {key: _mean([scores[key] for scores in each.values()], whole=True) for key in NUMBER_SCORES}
    return means | {"numbers": each}


def number_table(target: np.ndarray, value: np.ndarray, names: Sequence[str]) -> list[dict[str, Any]]:
    """A row for each number: its scores."""
    from scipy.stats import spearmanr
    from sklearn.metrics import mean_absolute_error, r2_score

    rows = []
    for k, name in enumerate(names):
        truth, found = target[:, k], value[:, k]
        varies = len(truth) > 1 and np.ptp(truth) > 0 and np.ptp(found) > 0
        rows.append(
            {
                "number": k,
                "name": name,
                "mae": float(mean_absolute_error(truth, found)) if len(truth) else None,
                "r2": float(r2_score(truth, found)) if len(truth) > 1 else None,
                "spearman": float(spearmanr(truth, found).statistic) if varies else None,
                "ccc": concordance(truth, found) if len(truth) else None,
            }
        )
    return rows


def concordance(truth: np.ndarray, found: np.ndarray) -> float | None:
    """Lin's concordance correlation coefficient (1989), -1..1: how near pairs (N,) are to the line of equal values."""
    spread = truth.var() + found.var() + (truth.mean() - found.mean()) ** 2
    covariance = ((truth - truth.mean()) * (found - found.mean())).mean()
    return float(2 * covariance / spread) if spread > 0 else None


def _mean(scores: Sequence[float | None], whole: bool = False) -> float | None:
    """The mean of the defined scores; None if there is none or, with `whole`, if one is missing."""
    defined = [score for score in scores if score is not None]
    return float(np.mean(defined)) if defined and not (whole and len(defined) < len(scores)) else None
