"""Sums kept on the device during an epoch, reduced over the ranks once, divided last."""

from typing import Any

import torch

from tsam_dali.distributed import sum_over_ranks


class Metrics:
    """Loss and confusion matrix over the samples with `ok`. Letters: B samples, C classes."""

    def __init__(self, num_class: int, device: torch.device):
        self.confusion = torch.zeros(num_class, num_class, dtype=torch.int64, device=device)  # [label, prediction]
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=device)

    def add(self, losses: torch.Tensor, logits: torch.Tensor, label: torch.Tensor, ok: torch.Tensor) -> None:
        """losses (B,), logits (B, C), label (B,), ok (B,) bool."""
        cell = label * self.confusion.shape[0] + logits.argmax(1)
        self.confusion.view(-1).index_add_(0, cell, ok.to(torch.int64))
        self.loss_sum += torch.where(ok, losses, 0).sum(dtype=torch.float64)

    def reduced(self) -> "Metrics":
        """The sums over all ranks; every rank must call it."""
        total = Metrics(len(self.confusion), self.confusion.device)
        total.confusion, total.loss_sum = sum_over_ranks(self.confusion.clone()), sum_over_ranks(self.loss_sum.clone())
        return total

    def reset(self) -> None:
        """Set all sums to zero."""
        self.confusion.zero_()
        self.loss_sum.zero_()

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The sums, for a checkpoint."""
        return {"confusion": self.confusion, "loss_sum": self.loss_sum}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Continue from the sums of a checkpoint."""
        self.confusion.copy_(state["confusion"])
        self.loss_sum.copy_(state["loss_sum"])

    def result(self) -> dict[str, Any]:
        """loss and accuracies (0..1) as numbers. Of a sum over all ranks, see `reduced`."""
        return {"loss": self.loss_sum.item() / max(1, int(self.confusion.sum()))} | accuracies(self.confusion)


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
