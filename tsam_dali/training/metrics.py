"""Sums kept on the device during an epoch, reduced over the ranks once, divided last."""

from collections.abc import Callable
from typing import Any, Protocol, Self

import numpy as np
import torch

from pipelines.loader import Batch
from tsam_dali.distributed import sum_over_ranks


class Sums(Protocol):
    """What is kept of the samples with `ok` of an epoch."""

    def add(self, losses: torch.Tensor, logits: torch.Tensor, batch: Batch) -> None:
        """losses (B,), logits (B, C)."""
        ...

    def reduced(self) -> Self:
        """The sums over all ranks; every rank must call it."""
        ...

    def reset(self) -> None:
        """Set all sums to zero."""
        ...

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The sums, for a checkpoint."""
        ...

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Continue from the sums of a checkpoint."""
        ...

    def result(self) -> dict[str, Any]:
        """The scores of a sum over all ranks, see `reduced`; among them loss and samples."""
        ...


class Metrics:
    """Loss and confusion matrix over the samples with `ok`. Letters: B samples, C classes."""

    def __init__(self, num_class: int, device: torch.device):
        self.confusion = torch.zeros(num_class, num_class, dtype=torch.int64, device=device)  # [label, prediction]
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=device)

    def add(self, losses: torch.Tensor, logits: torch.Tensor, batch: Batch) -> None:
        cell = batch.label * self.confusion.shape[0] + logits.argmax(1)
        self.confusion.view(-1).index_add_(0, cell, batch.ok.to(torch.int64))
        self.loss_sum += torch.where(batch.ok, losses, 0).sum(dtype=torch.float64)

    def reduced(self) -> "Metrics":
        total = Metrics(len(self.confusion), self.confusion.device)
        total.confusion, total.loss_sum = sum_over_ranks(self.confusion.clone()), sum_over_ranks(self.loss_sum.clone())
        return total

    def reset(self) -> None:
        self.confusion.zero_()
        self.loss_sum.zero_()

    def state_dict(self) -> dict[str, torch.Tensor]:
        return {"confusion": self.confusion, "loss_sum": self.loss_sum}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        self.confusion.copy_(state["confusion"])
        self.loss_sum.copy_(state["loss_sum"])

    def result(self) -> dict[str, Any]:
        """loss and accuracies (0..1) as numbers."""
        return {"loss": self.loss_sum.item() / max(1, int(self.confusion.sum()))} | accuracies(self.confusion)


class LossSums:
    """Loss over the samples with `ok`: what a training for labels or numbers keeps."""

    def __init__(self, device: torch.device):
        self.sums = torch.zeros(2, dtype=torch.float64, device=device)  # loss, samples

    def add(self, losses: torch.Tensor, logits: torch.Tensor, batch: Batch) -> None:
        loss = torch.where(batch.ok, losses, 0).sum(dtype=torch.float64)
        self.sums += torch.stack([loss, batch.ok.sum().double()])

    def reduced(self) -> "LossSums":
        total = LossSums(self.sums.device)
        total.sums = sum_over_ranks(self.sums.clone())
        return total

    def reset(self) -> None:
        self.sums.zero_()

    def state_dict(self) -> dict[str, torch.Tensor]:
        return {"sums": self.sums}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        self.sums.copy_(state["sums"])

    def result(self) -> dict[str, Any]:
        loss, samples = self.sums.tolist()
        return {"loss": loss / max(1, samples), "samples": int(samples)}


class ClipOutputs(LossSums):
    """Beside the loss the outputs of every clip, each seen once: what a validation for labels or numbers keeps.

    Letters: N clips, K labels or numbers. A clip belongs to one rank, so the sums over the ranks are exact.

    Args:
        targets: float64 (N, K).
        outputs: logits (B, K) -> the network's answers.
        score: targets and outputs (n, K) of the clips that were read -> scores; a loss among them replaces the sum's.
    """

    def __init__(
        self,
        targets: np.ndarray,
        outputs: Callable[[torch.Tensor], torch.Tensor],
        score: Callable[[np.ndarray, np.ndarray], dict[str, Any]],
        device: torch.device,
    ):
        super().__init__(device)
        self._targets, self._of_logits, self._score = targets, outputs, score
        self._outputs = torch.zeros(targets.shape, dtype=torch.float64, device=device)
        self._seen = torch.zeros(len(targets), dtype=torch.int64, device=device)

    def add(self, losses: torch.Tensor, logits: torch.Tensor, batch: Batch) -> None:
        super().add(losses, logits, batch)
        row = batch.row.clamp(min=0)
        self._outputs.index_add_(0, row, torch.where(batch.ok[:, None], self._of_logits(logits.double()), 0))
        self._seen.index_add_(0, row, batch.ok.long())

    def reduced(self) -> "ClipOutputs":
        total = ClipOutputs(self._targets, self._of_logits, self._score, self.sums.device)
        total.sums = sum_over_ranks(self.sums.clone())
        total._outputs, total._seen = sum_over_ranks(self._outputs.clone()), sum_over_ranks(self._seen.clone())
        return total

    @property
    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """Targets and outputs of the clips that were read, float64 (n, K)."""
        seen = self._seen.cpu().numpy() > 0
        return self._targets[seen], self._outputs.cpu().numpy()[seen]

    def result(self) -> dict[str, Any]:
        return super().result() | self._score(*self.read)


def accuracies(confusion: torch.Tensor) -> dict[str, Any]:
    """accuracy, balanced_accuracy (mean recall of the classes that occur) and number of samples of a (C, C) matrix."""
    confusion = confusion.cpu()
    per_class, right = confusion.sum(1), confusion.diagonal()
    occurs = per_class > 0
    recall = right[occurs].double() / per_class[occurs]
    samples = int(per_class.sum())
    return {
        "accuracy": int(right.sum()) / max(1, samples),
        "balanced_accuracy": recall.mean().item() if samples else 0.0,
        "samples": samples,
    }
