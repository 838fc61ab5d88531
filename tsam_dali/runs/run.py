"""A run in progress: its position, history and best scores, and how they are saved."""

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipelines.dataset.clips import Clip
from pipelines.files.words import counted, first_of
from pipelines.loader import Loader
from tsam_dali.config.task_settings import LOWER_IS_BETTER
from tsam_dali.distributed import merged_over_ranks, on_rank_0, same_buffers, start_totals
from tsam_dali.report.plots import plot_curves
from tsam_dali.report.sections import InputClip
from tsam_dali.runs.folder import RunFolder
from tsam_dali.runs.metrics_log import RunLog
from tsam_dali.runs.resume import fingerprints
from tsam_dali.runs.signals import Interrupted, StopRequest
from tsam_dali.training.nan_guard import NonFiniteError
from tsam_dali.training.state import TrainState

log = logging.getLogger(__name__)
NAMED_CLIPS = 16  # in an error; a batch may have hundreds


class Run:
    """The training state with its history, on every rank; rank 0 writes.

    Args:
        state: that of the checkpoint to resume, if any.
        choice: with what a run on a GPU decodes, if it was chosen.
    """

    def __init__(
        self,
        train_state: TrainState,
        folder: RunFolder,
        clips: Mapping[str, Sequence[Clip]],
        stop: StopRequest,
        state: dict[str, Any] | None,
        choice: dict[str, Any] | None = None,
    ):
        self.train_state, self.folder, self.clips, self.stop = train_state, folder, clips, stop
        self._choice = {"decode": choice} if choice else {}
        self.history: list[dict[str, Any]] = state["history"] if state else []  # a record per epoch
        options = train_state.config.training_param
        chosen = {score: score for score in options.best_scores}
        if options.early_stopping and options.early_stopping not in train_state.task.best.values():
            chosen[options.early_stopping] = options.early_stopping
        self.scores = chosen | train_state.task.best  # names of best checkpoints -> keys in a record
        of_classes = {"balanced": 0.0, "unbalanced": 0.0} if train_state.task.kind == "class" else {}
        self.best: dict[str, float] = state["best"] if state else of_classes
        self.inputs: list[InputClip] = []  # the first inputs of the network, for the report
        self._lists = fingerprints(clips) if train_state.job.is_main else {}
        folder.step = train_state.step
        self._log = (
            RunLog(folder.path, first_step=train_state.step, config=train_state.config)
            if train_state.job.is_main
            else None
        )

    @contextmanager
    def reported(self) -> Iterator[None]:
        """Keep status.json up to date while the run goes on. Signals wait until its state can be saved."""
        self.stop.defer()
        self.folder.write_status("running")
        try:
            with self.folder.reported(), self._clips_named():
                yield
                self.folder.write_status("finished")
        finally:  # last: a tracker may take longer than the grace period of a cluster
            if self._log:
                self._log.close()

    def log_steps(self, figures: dict[str, Any]) -> None:
        """Log the figures of some steps of training."""
        if self._log:
            self._log.steps(figures)

    def save(self, also: Iterable[str] = (), last: bool = False) -> None:
        """Write a checkpoint, and keep it under the names `also` as well; every rank calls it."""
        self.train_state.nan_guard.flush()  # weights that are not finite are never saved
        same_buffers(self.train_state.network)
        sums = self.train_state.metrics.reduced().state_dict()
        if not self.train_state.job.is_main:
            return
        about = {
            "config": self.train_state.config.to_dict(),
            "history": self.history,
            "best": self.best,
            "lists": self._lists,
            "epoch_sums": sums,
            **self._choice,
        }
        if self.folder.checkpoints.try_save(about | self.train_state.state_dict(), last):
            self.folder.step = self.train_state.step
            self.folder.write_status("running")
            self.folder.checkpoints.keep_as(self.train_state.step, also)

    def ask(self, loader: Loader, due: bool = False) -> Callable[[], tuple[bool, bool]]:
        """To be called for the answer: whether any rank was asked to stop, and whether `due` is set on any.

        Every rank asks, and takes the answer, at the same point.

        Raises:
            LoaderError: when answered; all ranks together could not read too many clips of `loader`.
        """
        sums = start_totals(bool(self.stop.by), due, len(loader.bad))

        def answer() -> tuple[bool, bool]:
            stop, any_due, bad = sums()
            if bad > loader.most_bad:  # several ranks may have met the same ones, in different epochs
                loader.check(merged_over_ranks(loader.bad))
            return stop > 0, any_due > 0

        return answer

    def stop_if_asked(self, loader: Loader) -> None:
        """Save and raise `Interrupted` if any rank was asked to stop; otherwise as `ask`."""
        stop, _ = self.ask(loader)()
        if stop:
            self.save_and_stop()

    def save_and_stop(self) -> None:
        """Raise `Interrupted` after a last save."""
        self.save()
        raise Interrupted(self.stop.by or "a signal to another process")

    @property
    def class_names(self) -> list[str]:
        """Of all outputs; of classes without names their numbers."""
        return list(self.train_state.task.names)

    def show(self, name: str, path: Path) -> None:
        """Send an image to the trackers; rank 0 only."""
        if self._log:
            self._log.image(name, path)

    def end_epoch(self, record: dict[str, Any], last: bool) -> None:
        """Add an epoch's record to the history and save a checkpoint, under the names of best scores as well."""
        record |= {"step": self.train_state.step}
        for name, score in self.scores.items():
            value = record["validation"][score]
            if is_better(score, value, [self.best.get(name)]):
                self.best = self.best | {name: value}
        self.history = [*self.history, record]
        self.train_state.metrics.reset()
        self.save(self._names(), last or self.stalled)
        if not self._log:
            return
        self._log.epoch(record)
        self._write_results()
        task = self.train_state.task
        for split in ("training", "validation"):
            scores = record[split]
            score, title = next(iter(task.shown.items()))
            figures = f"loss {scores['loss']:.3f}"
            figures += f", {title} {task.text(score, scores[score])}" if score in scores else ""
            count = f"{scores['samples']} of {counted(len(self.clips[split]), 'clip')}"
            log.info("epoch %d: %s %s on %s", record["epoch"], split, figures, count)

    @property
    def stalled(self) -> bool:
        """Whether early stopping ends the run; all that it depends on is the history, which checkpoints hold."""
        return self._epochs_stalled >= self.train_state.config.training_param.patience

    def may_end_with(self, epoch: int) -> bool:
        """Whether `epoch` can be the last, before it is validated."""
        options = self.train_state.config.training_param
        stalls = options.early_stopping and self._epochs_stalled + 1 >= options.patience
        return bool(epoch + 1 == options.epochs or stalls)

    @property
    def _epochs_stalled(self) -> int:
        score = self.train_state.config.training_param.early_stopping
        return epochs_since_best(score, [record["validation"].get(score) for record in self.history]) if score else 0

    def keep_untrained(self) -> None:
        """Save the network as epoch_0 before its first step, if `save_epoch` has 0; every rank calls it."""
        if 0 in self.train_state.config.save_epoch and self.train_state.step == 0:
            self.save(["epoch_0"])

    def catch_up(self) -> None:
        """Write what a run that was killed at the end of an epoch could not: names of its checkpoint, records."""
        if not self._log or not self.history:
            return
        self._log.catch_up(self.history)
        if self.history[-1].get("step") == self.train_state.step:
            checkpoints, step = self.folder.checkpoints, self.train_state.step
            checkpoints.keep_as(step, [name for name in self._names() if checkpoints.step_of(name) < step])
            self._write_results()
            self.draw_curves()

    def draw_curves(self) -> None:
        """Draw curves.png, for the trackers as well; rank 0 only."""
        smooth = self.train_state.config.optimizer_param.smooth_epochs
        try:
            plot_curves(self.history, self.folder.curves, smooth, self.train_state.task)
        except OSError as error:  # such as a full disk; it must not end the run
            log.warning("%s could not be written: %s", self.folder.curves, error)
            return
        self.show("curves", self.folder.curves)

    @contextmanager
    def _clips_named(self) -> Iterator[None]:
        """Add the ids of the clips and the last checkpoint to an error that holds only row numbers."""
        try:
            yield
        except NonFiniteError as error:
            ids = [self.clips["training"][row].id for row in error.rows]
            kept = on_rank_0(lambda: self.folder.checkpoints.newest_step)
            names = ", ".join(first_of(ids, NAMED_CLIPS))
            raise NonFiniteError(
                f"{error}; its clips: {names}. Inspect them, or lower optimizer_param.lr; "
                + (f"the checkpoint of step {kept} is from before that" if kept else "there is no checkpoint yet")
            ) from error

    def _names(self) -> list[str]:
        """More names of the last epoch's checkpoint: epoch_N by `save_epoch`, NAME_best if it is the best."""
        *before, last = self.history
        done = len(self.history)
        names = [f"epoch_{done}"] if done in self.train_state.config.save_epoch else []
        for name, score in self.scores.items():
            if is_better(score, last["validation"][score], [record["validation"].get(score) for record in before]):
                names.append(f"{name}_best")
        return names

    def _write_results(self) -> None:
        try:
            self.folder.write_results(self.history, self.best, self.class_names, self.train_state.task.best)
        except OSError as error:  # such as a full disk; it must not end the run
            log.warning("the results could not be written: %s", error)


def epochs_since_best(score: str, values: Sequence[float | None]) -> int:
    """How many epochs have passed since a score was best, given its value after each epoch."""
    best = [epoch for epoch, value in enumerate(values) if is_better(score, value, values[:epoch])]
    return len(values) - 1 - best[-1] if best else len(values)


def is_better(score: str, value: float | None, others: Sequence[float | None]) -> bool:
    """Whether a value of a score is better than all others; one that is undefined (None, NaN) is worse than any."""
    if value is None or math.isnan(value):
        return False
    sign = -1 if score in LOWER_IS_BETTER else 1
    return all(other is None or math.isnan(other) or sign * value > sign * other for other in others)
