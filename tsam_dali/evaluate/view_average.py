"""The outputs of the network for each video, summed over its views and the ranks."""

from typing import NamedTuple

import numpy as np
import torch

from pipelines.loader import Batch
from tsam_dali.distributed import sum_over_ranks
from tsam_dali.evaluate.options import Average
from tsam_dali.training.task import ClassTask, Task


class VideoProbabilities(NamedTuple):
    """Letters: N videos, C classes, labels or numbers."""

    probabilities: np.ndarray  # float64 (N, C), of numbers the values; zeros for a video without a readable view
    views: np.ndarray  # readable views, int64 (N,)


class VideoScores:
    """Sums over the views of N videos, on the device of the network. Letters: B views of a batch, C classes.

    Each video belongs to one rank, which adds up its views in their order: the sums do not depend on the number of
    ranks, to the last bit.
    """

    def __init__(
        self, num_videos: int, num_class: int, average: Average, device: torch.device, task: Task | None = None
    ):
        self._average, self._task = average, task or ClassTask()
        self._sums = torch.zeros(num_videos, num_class, dtype=torch.float64, device=device)
        self._views = torch.zeros(num_videos, dtype=torch.int64, device=device)

    def add(self, logits: torch.Tensor, batch: Batch) -> None:
        """logits (B, C); padding and unreadable clips add nothing."""
        row, values = batch.row.clamp(min=0), logits.double()
        if self._average == "probabilities":
            values = self._task.outputs(values)
        self._sums.index_add_(0, row, torch.where(batch.ok[:, None], values, 0))
        self._views.index_add_(0, row, batch.ok.long())

    def result(self) -> VideoProbabilities:
        """The averages so far, over all ranks; every rank must call it."""
        sums, views = sum_over_ranks(self._sums.clone()), sum_over_ranks(self._views.clone())
        return VideoProbabilities(self._probabilities(sums, views).cpu().numpy(), views.cpu().numpy())

    def so_far(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (B, C) of a batch's videos that give their averages over this rank's views, of classes the
        log-probabilities; and whether one was readable (B,)."""
        row = batch.row.clamp(min=0)
        views = self._views[row]
        return self._task.logits(self._probabilities(self._sums[row], views)), (views > 0) & (batch.row >= 0)

    def _probabilities(self, sums: torch.Tensor, views: torch.Tensor) -> torch.Tensor:
        means = sums / views.clamp(min=1)[:, None]
        return torch.where(views[:, None] > 0, self._task.outputs(means), 0) if self._average == "logits" else means
