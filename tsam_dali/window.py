"""The figures of some steps of training, kept on the device until they are asked for."""

import resource
import time
from typing import Any

import torch

from tsam_dali.distributed import sum_over_ranks
from tsam_dali.training.engine import Step
from tsam_dali.training.progress import Progress
from tsam_dali.training.state import Learner


class Window:
    """Sums over the steps since the last record."""

    def __init__(self, learner: Learner, progress: Progress):
        self._learner, self._progress = learner, progress
        self._begin()

    def _begin(self) -> None:
        self._sums = torch.zeros(2, dtype=torch.float64, device=self._learner.job.device)  # loss, clips
        self.steps = 0
        self._started, self._waited = time.perf_counter(), self._progress.seconds_waited

    def add(self, step: Step) -> None:
        """Count a step."""
        loss = torch.where(step.batch.ok, step.losses, 0).sum(dtype=torch.float64)
        self._sums += torch.stack([loss, step.batch.ok.sum().double()])
        self._norm = step.norm
        self.steps += 1

    def record(self, epoch: int) -> dict[str, Any]:
        """The figures so far, over all ranks, and begin anew; every rank must call it. Waits for the device."""
        loss, clips = sum_over_ranks(self._sums).tolist()
        seconds = time.perf_counter() - self._started
        device = self._learner.job.device
        if device.type == "cuda":
            memory = torch.cuda.max_memory_allocated(device)
        else:
            memory = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        record = {
            "step": self._learner.step,
            "epoch": epoch,
            "loss": loss / max(clips, 1),
            "lr": self._learner.rate,
            "clips_per_second": self.steps * self._learner.config.training_param.batch_size / seconds,
            "data_wait": (self._progress.seconds_waited - self._waited) / seconds,
            "gradient_norm": self._norm.item(),
            "memory_mb": memory / 1e6,  # the peak of the device, or of this process
        }
        self._begin()
        return record
