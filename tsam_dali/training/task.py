"""What is learnt, as the rest of the program sees it: a task has a loss, meanings of logits, scores and words.

B clips of a batch, C classes, K outputs of a network: classes, labels or numbers.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from pipelines.dataset.clips import Clip
from tsam_dali.training.loss import Targets, clip_losses, clip_weights
from tsam_dali.training.metrics import Metrics, Sums


class Task(ABC):
    """What the rest of the program asks of a task."""

    kind: ClassVar[str]
    """What an output is: class, label or number."""
    plural: ClassVar[str]
    shown: ClassVar[dict[str, str]]
    """The scores that sum up a validation: key -> title."""
    best: ClassVar[dict[str, str]]
    """Best checkpoints (NAME_best) and their scores, whatever the settings add."""
    names: tuple[str, ...]
    """Of the outputs."""
    loss_name: str
    """And its unit, for plots."""

    @abstractmethod
    def losses(self, logits: Tensor, targets: Targets, ok: Tensor) -> Tensor:
        """Of each clip in training, float32 (B,), with weights and smoothing."""

    def clip_weights(self, targets: Targets) -> Tensor:
        """The weight of each clip in the mean of a step, float32 (B,)."""
        return torch.ones_like(targets.share)

    @abstractmethod
    def plain_losses(self, logits: Tensor, label: Tensor) -> Tensor:
        """Of each clip in a validation, (B,), without weights and smoothing."""

    @abstractmethod
    def outputs(self, logits: Tensor) -> Tensor:
        """The answers of the network: probabilities 0..1, or numbers in their units; (..., K) -> (..., K)."""

    @abstractmethod
    def logits(self, outputs: Tensor) -> Tensor:
        """Logits that give these outputs."""

    @abstractmethod
    def training_sums(self, device: torch.device) -> Sums:
        """What is kept of an epoch of training."""

    @abstractmethod
    def validation_sums(self, clips: Sequence[Clip], device: torch.device) -> Sums:
        """What is kept of a pass over the validation clips."""

    def text(self, score: str, value: float | None) -> str:
        """A score for people."""
        return "undefined" if value is None else f"{value:.3f}" if score == "loss" else f"{value:.1%}"

    def output_text(self, number: int, value: float) -> str:
        """An answer for people."""
        return f"{value:.1%}"


class ClassTask(Task):
    """One of C classes: softmax and cross-entropy."""

    kind, plural = "class", "classes"
    shown: ClassVar[dict[str, str]] = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy"}
    best: ClassVar[dict[str, str]] = {"balanced": "balanced_accuracy", "unbalanced": "accuracy"}
    loss_name = "cross-entropy (nats)"

    def __init__(self, names: Sequence[str] = (), weights: Tensor | None = None, smoothing: float = 0.0):
        self.names, self.weights, self._smoothing = tuple(names), weights, smoothing

    def losses(self, logits: Tensor, targets: Targets, ok: Tensor) -> Tensor:
        return clip_losses(logits, targets, self.weights, self._smoothing)

    def clip_weights(self, targets: Targets) -> Tensor:
        return clip_weights(targets, self.weights)

    def plain_losses(self, logits: Tensor, label: Tensor) -> Tensor:
        return clip_losses(logits, label)

    def outputs(self, logits: Tensor) -> Tensor:
        return logits.softmax(-1)

    def logits(self, outputs: Tensor) -> Tensor:
        return outputs.log()

    def training_sums(self, device: torch.device) -> Metrics:
        return Metrics(len(self.names), device)

    def validation_sums(self, clips: Sequence[Clip], device: torch.device) -> Metrics:
        return Metrics(len(self.names), device)
