"""What happens after each step of training: checks, figures, checkpoints, and an end where all ranks agree on one."""

from pipelines.loader import Loader
from tsam_dali.run import Run
from tsam_dali.training.engine import Step
from tsam_dali.training.progress import Progress
from tsam_dali.window import Window


class Watch:
    """The `after_step` of `tsam_dali.training.engine.train_one_epoch`, for one epoch."""

    def __init__(self, run: Run, training: Loader, progress: Progress, epoch: int):
        self._run, self._training, self._progress, self._epoch = run, training, progress, epoch
        self._window = Window(run.learner, progress)

    def __call__(self, step: Step) -> bool:
        run, learner = self._run, self._run.learner
        learner.finite.add(learner.step - 1, step.norm, step.losses, step.batch.row)
        self._window.add(step)
        if learner.step % learner.config.training_param.log_steps == 0:
            self.record()
        due = learner.job.is_main and run.folder.checkpoints.due(learner.step)
        stop, due = run.agree(self._training, due)
        if due and not stop:
            run.save()
        return stop

    def record(self) -> None:
        """Note the figures of the steps since the last record, if there are any; every rank must call it."""
        if not self._window.steps:
            return
        figures = self._window.record(self._epoch)
        self._progress.show(loss=f"{figures['loss']:.3f}", rate=f"{figures['lr']:.2g}")
        self._run.log_steps(figures)
