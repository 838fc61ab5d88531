"""The loss of each clip, and its weight in the mean over a step. Letters: B clips, C classes."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


class Targets(NamedTuple):
    """The labels of each clip."""

    label: Tensor  # int64 (B,)
    other: Tensor  # int64 (B,), the label of the clip blended in; without mixup the same
    share: Tensor  # float32 (B,), the weight of `label`, 0..1


def class_weights(labels: Iterable[int], num_class: int, kind: str) -> Tensor | None:
    """Weights float32 (C,): None for "none"; "balanced" as in scikit-learn, clips / (classes * clips of the class).

    Of `num_class` classes, those without a clip do not count and have the weight 1.
    """
    if kind == "none":
        return None
    from sklearn.utils.class_weight import compute_class_weight  # takes a second: not for runs without

    labels = np.fromiter(labels, np.int64)
    present, weights = np.unique(labels), np.ones(num_class, np.float32)
    weights[present] = compute_class_weight("balanced", classes=present, y=labels)
    return torch.from_numpy(weights)


def clip_losses(
    logits: Tensor, targets: Tensor | Targets, weights: Tensor | None = None, smoothing: float = 0.0
) -> Tensor:
    """Cross-entropy of each clip in float32, times the weight of its class: logits (B, C) -> (B,)."""
    if isinstance(targets, Tensor):
        return _cross_entropy(logits, targets, weights, smoothing)
    first = _cross_entropy(logits, targets.label, weights, smoothing)
    return targets.share * first + (1 - targets.share) * _cross_entropy(logits, targets.other, weights, smoothing)


def clip_weights(targets: Targets, weights: Tensor | None) -> Tensor:
    """The weight of each clip in the mean of a step, float32 (B,)."""
    if weights is None:
        return torch.ones_like(targets.share)
    return targets.share * weights[targets.label] + (1 - targets.share) * weights[targets.other]


def _cross_entropy(logits: Tensor, label: Tensor, weights: Tensor | None, smoothing: float) -> Tensor:
    return F.cross_entropy(logits.float(), label, weights, reduction="none", label_smoothing=smoothing)
