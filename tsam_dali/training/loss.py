"""The loss of each clip, and its weight in the mean over a step. Letters: B clips, C classes, K labels or numbers."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tsam_dali.distributed import sum_over_ranks

HUBER_DELTA = 0.2
"""Error at which the Huber loss turns from a square into a line: a tenth of a number's range, which is -1..1 here."""


class Targets(NamedTuple):
    """The labels of each clip."""

    label: Tensor  # int64 (B,), or float32 (B, K)
    other: Tensor  # the same of the clip blended in; without mixup the same
    share: Tensor  # float32 (B,), the weight of `label`, 0..1

    @property
    def blended(self) -> Tensor:
        """float32 (B, K): both in one, by their shares."""
        return torch.lerp(self.other, self.label, self.share[:, None])


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


def label_losses(
    logits: Tensor, target: Tensor, weights: Tensor | None = None, smoothing: float = 0.0, gamma: float = 0.0
) -> Tensor:
    """Binary cross-entropy of each clip, the mean over its labels: logits (B, K), target 0..1 (B, K) -> (B,).

    Args:
        weights: of the positive clips of each label, (K,).
        smoothing: how far targets are moved towards 1/2.
        gamma: of the focal loss (https://arxiv.org/abs/1708.02002), which lowers the weight of labels that are right
            already; 0: plain cross-entropy.
    """
    logits = logits.float()
    target = target * (1 - smoothing) + smoothing / 2 if smoothing else target
    losses = F.binary_cross_entropy_with_logits(logits, target, pos_weight=weights, reduction="none")
    if gamma:
        probability = logits.sigmoid()
        losses = losses * (probability * (1 - target) + (1 - probability) * target) ** gamma
    return losses.mean(1)


def number_losses(values: Tensor, target: Tensor, huber: bool = False) -> Tensor:
    """Squared error, or Huber loss, of each clip, the mean over its numbers: both (B, K), ranges -1..1 -> (B,)."""
    if huber:
        return F.huber_loss(values.float(), target, reduction="none", delta=HUBER_DELTA).mean(1)
    return F.mse_loss(values.float(), target, reduction="none").mean(1)


def ccc_losses(values: Tensor, target: Tensor, ok: Tensor) -> Tensor:
    """1 - concordance correlation (Lin 1989) of all clips of all ranks with `ok`, the mean over the numbers: both
    (B, K) -> the same value for each clip, (B,).

    Its gradient is shared out so that the mean over these clips has that of the whole: each rank knows the sums of all,
    but differentiates by its own clips only.
    """
    x = values.detach().double().requires_grad_()
    with torch.enable_grad():
        y = target.double()
        products = torch.stack([torch.ones_like(x), x, y, x * x, y * y, x * y])  # (6, B, K)
        own = torch.where(ok[:, None], products, 0).sum(1)
        n, *sums = own + (sum_over_ranks(own.detach().clone()) - own.detach())
        n = n.clamp(min=1)
        mean_x, mean_y, square_x, square_y, product = (total / n for total in sums)
        spread = (square_x - mean_x**2) + (square_y - mean_y**2) + (mean_x - mean_y) ** 2
        loss = (1 - 2 * (product - mean_x * mean_y) / spread.clamp(min=1e-9)).mean()
    slope = torch.autograd.grad(loss, x)[0] * n.detach()
    share = (slope.float() * values.float()).sum(1)
    return loss.detach().float() + share - share.detach()
