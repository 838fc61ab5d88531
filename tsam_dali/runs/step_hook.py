"""The work after each step of training: checks, figures, checkpoints, and stopping on all ranks together."""

import resource
import time
from collections.abc import Callable
from typing import Any

import torch

from pipelines.loader import Loader
from tsam_dali.distributed import sum_over_ranks
from tsam_dali.runs.run import Run
from tsam_dali.training.engine import Step
from tsam_dali.training.progress import Progress
from tsam_dali.training.state import TrainState

Answer = Callable[[], tuple[bool, bool]]
"""See `Run.ask`."""


def _not_asked() -> tuple[bool, bool]:
    return False, False


class StepHook:
    """The `after_step` of `tsam_dali.training.engine.train_one_epoch`, for one epoch."""

    def __init__(self, run: Run, training: Loader, progress: Progress, epoch: int):
        self._run, self._training, self._progress, self._epoch = run, training, progress, epoch
        self._averages = StepAverages(run.train_state, progress)
        self._late = run.train_state.job.device.type == "cuda"
        self._asked = _not_asked

    def __call__(self, step: Step) -> bool:
        run, train_state = self._run, self._run.train_state
        train_state.nan_guard.add(train_state.step - 1, step.norm, step.losses, step.batch.row)
        self._averages.add(step)
        if train_state.step % train_state.config.training_param.log_steps == 0:
            self.record()
        due = train_state.job.is_main and run.folder.checkpoints.due(train_state.step)
        stop, due = self._answer(run.ask(self._training, due))
        if due and not stop:
            run.save()
            self._asked = _not_asked  # it was due then, too
        return stop

    def _answer(self, asked: Answer) -> tuple[bool, bool]:
        """The answer; beside a GPU that of the step before, which has come meanwhile. At the end of an epoch the run
        asks once more.
        """
        if not self._late:
            return asked()
        before, self._asked = self._asked, asked
        return before()

    def record(self) -> None:
        """Log the figures of the steps since the last record, if there are any; every rank must call it."""
        if not self._averages.steps:
            return
        figures = self._averages.record(self._epoch)
        self._progress.show(loss=f"{figures['loss']:.3f}", rate=f"{figures['lr']:.2g}")
        self._run.log_steps(figures)


class StepAverages:
    """Sums over the steps since the last record."""

    def __init__(self, train_state: TrainState, progress: Progress):
        self._train_state, self._progress = train_state, progress
        self._reset()

    def _reset(self) -> None:
        self._sums = torch.zeros(2, dtype=torch.float64, device=self._train_state.job.device)  # loss, clips
        self.steps = 0
        self._started, self._waited = time.perf_counter(), self._progress.seconds_waited

    def add(self, step: Step) -> None:
        """Count a step."""
        loss = torch.where(step.batch.ok, step.losses, 0).sum(dtype=torch.float64)
        self._sums += torch.stack([loss, step.batch.ok.sum().double()])
        self._norm = step.norm
        self.steps += 1

    def record(self, epoch: int) -> dict[str, Any]:
        """The figures so far, over all ranks; resets the sums. Every rank must call it. Waits for the device."""
        loss, clips = sum_over_ranks(self._sums).tolist()
        seconds = time.perf_counter() - self._started
        device = self._train_state.job.device
        if device.type == "cuda":
            memory = torch.cuda.max_memory_allocated(device)
        else:
            memory = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        record = {
            "step": self._train_state.step,
            "epoch": epoch,
            "loss": loss / max(clips, 1),
            "lr": self._train_state.rate,
            "clips_per_second": self.steps * self._train_state.config.training_param.batch_size / seconds,
            "data_wait": (self._progress.seconds_waited - self._waited) / seconds,
            "gradient_norm": self._norm.item(),
            "memory_mb": memory / 1e6,  # the peak of the device, or of this process
        }
        self._reset()
        return record
