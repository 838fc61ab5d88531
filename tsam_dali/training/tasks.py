"""The tasks `labels` and `numbers`, and the choice of a task by the settings. N clips, K labels or numbers."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from pipelines.dataset.clips import Clip, Dataset
from pipelines.dataset.flip_labels import flipped_labels, seen_labels
from pipelines.dataset.targets import Labels, Numbers, labels_in, target_table
from tsam_dali.config.load import Config
from tsam_dali.config.sections import TrainingParam
from tsam_dali.config.task_settings import chosen_loss
from tsam_dali.training import scores
from tsam_dali.training.loss import Targets, ccc_losses, class_weights, label_losses, number_losses
from tsam_dali.training.metrics import ClipOutputs, LossSums
from tsam_dali.training.task import ClassTask, Task


class LabelTask(Task):
    """Any of K labels: sigmoid, and binary cross-entropy or focal loss.

    Args:
        weights: of the positive clips of each label, (K,).
        thresholds: probability of each label from which on it counts as found, as chosen on a validation.
    """

    kind, plural = "label", "labels"
    shown: ClassVar[dict[str, str]] = {"mAP": "mAP", "auroc": "AUROC", "f1": "F1"}
    best: ClassVar[dict[str, str]] = {"mAP": "mAP"}

    def __init__(
        self,
        targets: Labels,
        weights: Tensor | None = None,
        smoothing: float = 0.0,
        gamma: float = 0.0,
        thresholds: Sequence[float] | None = None,
    ):
        self.targets, self.names = targets, targets.names
        self.weights, self._smoothing, self._gamma = weights, smoothing, gamma
        self.loss_name = "training: focal loss; validation: binary cross-entropy" if gamma else "cross-entropy (nats)"
        self.thresholds = list(thresholds or [scores.THRESHOLD] * len(self.names))

    def losses(self, logits: Tensor, targets: Targets, ok: Tensor) -> Tensor:
        return label_losses(logits, targets.blended, self.weights, self._smoothing, self._gamma)

    def plain_losses(self, logits: Tensor, label: Tensor) -> Tensor:
        return label_losses(logits, label)

    def outputs(self, logits: Tensor) -> Tensor:
        return logits.sigmoid()

    def logits(self, outputs: Tensor) -> Tensor:
        return outputs.logit(eps=1e-12)

    def training_sums(self, device: torch.device) -> LossSums:
        return LossSums(device)

    def validation_sums(self, clips: Sequence[Clip], device: torch.device) -> ClipOutputs:
        return ClipOutputs(target_table(self.targets, clips), self.outputs, scores.label_scores, device)

    def evaluate(self, target: np.ndarray, output: np.ndarray) -> dict[str, Any]:
        """Scores of clips (n, K) at the thresholds of the checkpoint."""
        return scores.label_scores(target, output, self.thresholds)

    def table(self, target: np.ndarray, output: np.ndarray, thresholds: Sequence[float] | None = None) -> list[dict]:
        """A row for each label with its scores."""
        return scores.label_table(target, output, thresholds or self.thresholds, self.names)

    def expected(self, text: str) -> dict[str, Any]:
        """The target of a line of a list, for a line of an evaluation."""
        labels = labels_in(text)
        return {"labels": labels, "names": [self.names[label] for label in labels]}

    def found(self, output: np.ndarray) -> dict[str, Any]:
        """The outputs (K,) of a clip, for a line of an evaluation."""
        labels = (output >= self.thresholds).nonzero()[0].tolist()
        return {
            "prediction": labels,
            "prediction_names": [self.names[label] for label in labels],
            "probabilities": dict(zip(self.names, output.tolist(), strict=True)),
        }

    def comparison(self, label: Sequence[float], output: Sequence[float]) -> str:
        """What a clip has, and what was found in it, in words."""
        has = ", ".join(name for name, value in zip(self.names, label, strict=True) if value) or "none"
        found = [
            f"{name} ({value:.0%})"
            for name, value, threshold in zip(self.names, output, self.thresholds, strict=True)
            if value >= threshold
        ]
        return f"{has}, predicted {', '.join(found) or 'none'}"


class NumberTask(Task):
    """K numbers: logits -1..1 are the range of a number; squared error, Huber loss or 1 - CCC."""

    kind, plural = "number", "numbers"
    shown: ClassVar[dict[str, str]] = {"mae": "MAE", "r2": "R²", "spearman": "Spearman", "ccc": "CCC"}
    best: ClassVar[dict[str, str]] = {"ccc": "ccc"}

    def __init__(self, targets: Numbers, loss: str = "mse", device: str | torch.device = "cpu"):
        self.targets, self.names, self._loss = targets, targets.names, loss
        errors = {"mse": "squared error", "huber": "Huber loss", "ccc": "1 - CCC"}
        self.loss_name = errors[loss] + ("" if loss == "ccc" else " (ranges as -1..1)")
        self.units = tuple(number.unit for number in targets.numbers)
        ranges = torch.tensor([number.range for number in targets.numbers], dtype=torch.float64, device=device)
        self._low, self._high = ranges.T

    @property
    def _middle(self) -> Tensor:
        return (self._low + self._high) / 2

    @property
    def _half(self) -> Tensor:
        return (self._high - self._low) / 2

    def losses(self, logits: Tensor, targets: Targets, ok: Tensor) -> Tensor:
        target = self.logits(targets.blended).float()
        if self._loss == "ccc":
            return ccc_losses(logits, target, ok)
        return number_losses(logits, target, self._loss == "huber")

    def plain_losses(self, logits: Tensor, label: Tensor) -> Tensor:
        return number_losses(logits, self.logits(label).float(), self._loss == "huber")

    def outputs(self, logits: Tensor) -> Tensor:
        return (self._middle + self._half * logits).clamp(self._low, self._high)

    def logits(self, outputs: Tensor) -> Tensor:
        return (outputs - self._middle) / self._half

    def training_sums(self, device: torch.device) -> LossSums:
        return LossSums(device)

    def validation_sums(self, clips: Sequence[Clip], device: torch.device) -> ClipOutputs:
        return ClipOutputs(target_table(self.targets, clips), self.outputs, self._validate, device)

    def _validate(self, target: np.ndarray, output: np.ndarray) -> dict[str, Any]:
        """With 1 - CCC the loss is that of all clips: it is no mean over clips."""
        found = self.evaluate(target, output)
        return found | {"loss": 1 - (found["ccc"] or 0.0)} if self._loss == "ccc" else found

    def evaluate(self, target: np.ndarray, output: np.ndarray) -> dict[str, Any]:
        """Scores of clips (n, K)."""
        return scores.number_scores(target, output, self.names)

    def table(self, target: np.ndarray, output: np.ndarray, thresholds: Sequence[float] | None = None) -> list[dict]:
        """A row for each number with its unit and scores; numbers have no thresholds."""
        rows = scores.number_table(target, output, self.names)
        return [row | {"unit": unit} for row, unit in zip(rows, self.units, strict=True)]

    def expected(self, text: str) -> dict[str, Any]:
        """The target of a line of a list, for a line of an evaluation."""
        return {"numbers": dict(zip(self.names, self.targets.vector(text).tolist(), strict=True))}

    def found(self, output: np.ndarray) -> dict[str, Any]:
        """The outputs (K,) of a clip, for a line of an evaluation."""
        return {"prediction": dict(zip(self.names, output.tolist(), strict=True))}

    def comparison(self, label: Sequence[float], output: Sequence[float]) -> str:
        """What a clip has, and what was found in it, in words."""
        pairs = zip(self.names, label, output, strict=True)
        return "; ".join(
            f"{name} {has:.4g}, predicted {self.output_text(k, found)}" for k, (name, has, found) in enumerate(pairs)
        )

    def shares(self, values: Sequence[float]) -> list[float]:
        """The place of each value in its range, 0..1."""
        ranges = [number.range for number in self.targets.numbers]
        return [(value - low) / (high - low) for value, (low, high) in zip(values, ranges, strict=True)]

    def text(self, score: str, value: float | None) -> str:
        unit = f" {self.units[0]}".rstrip() if score == "mae" and len(set(self.units)) == 1 else ""
        return "undefined" if value is None else f"{value:.4g}{unit}"

    def output_text(self, number: int, value: float) -> str:
        return f"{value:.4g} {self.units[number]}".rstrip()


AnyTask = ClassTask | LabelTask | NumberTask


def task_of(
    dataset: Dataset,
    options: TrainingParam,
    num_outputs: int,
    *,
    weights: Tensor | None = None,
    thresholds: Sequence[float] | None = None,
    device: str | torch.device = "cpu",
) -> AnyTask:
    """The task of a data set, for a network with so many outputs; see the classes for the other arguments."""
    targets, smoothing = dataset.targets, options.label_smoothing
    weights = None if weights is None else weights.to(device)
    if isinstance(targets, Numbers):
        return NumberTask(targets, chosen_loss(dataset, options), device)
    if isinstance(targets, Labels):
        gamma = options.focal_gamma if chosen_loss(dataset, options) == "focal" else 0.0
        return LabelTask(targets, weights, smoothing, gamma, thresholds)
    names = targets.names if len(targets.names) == num_outputs else tuple(map(str, range(num_outputs)))
    return ClassTask(names, weights, smoothing)


def loss_weights(config: Config, clips: Sequence[Clip], num_outputs: int) -> Tensor | None:
    """The weights of training_param.class_weights: of each class, or of the clips that have a label (K,)."""
    kind, targets = config.training_param.class_weights, config.dataset.targets
    mirrored, flipped = config.data_augmentation.video_augmentation.RandomHorizontalFlip, flipped_labels(config.dataset)
    if not targets.size:
        labels: Iterable[int] = (clip.label for clip in clips)
        return class_weights(seen_labels(labels, flipped) if mirrored else labels, num_outputs, kind)
    if kind == "none":
        return None
    positive = sum((targets.vector(clip.target) for clip in clips), np.zeros(targets.size))
    if mirrored:  # half of the time
        positive = (positive + positive[[flipped.get(label, label) for label in range(targets.size)]]) / 2
    # For a label that all clips or none have, no weight would mend anything.
    both = (positive > 0) & (positive < len(clips))
    return torch.from_numpy(np.where(both, (len(clips) - positive) / positive.clip(1), 1)).float()


def thresholds_of(history: Sequence[Mapping[str, Any]]) -> list[float] | None:
    """The thresholds that the last validation of a run chose for its labels."""
    return history[-1]["validation"].get("thresholds") if history else None
