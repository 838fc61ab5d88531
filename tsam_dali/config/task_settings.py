"""What each task of `dataset.task` can be trained with."""

from collections.abc import Iterator

from pipelines.dataset.clips import Dataset
from pipelines.dataset.targets import TaskName, naming_problems
from tsam_dali.config.sections import TrainingParam

LOSSES: dict[TaskName, tuple[str, ...]] = {
    "classes": ("cross_entropy",),
    "labels": ("bce", "focal"),
    "numbers": ("mse", "huber", "ccc"),
}
"""The losses of a task; the first one is `auto`."""
SCORES: dict[TaskName, tuple[str, ...]] = {
    "classes": ("loss", "accuracy", "balanced_accuracy"),
    "labels": ("loss", "mAP", "mAP_micro", "auroc", "auroc_micro", "f1", "f1_micro"),
    "numbers": ("loss", "mae", "r2", "spearman", "ccc"),
}
"""Those of a validation by which a checkpoint can be the best."""
LOWER_IS_BETTER = ("loss", "mae")


def chosen_loss(dataset: Dataset, options: TrainingParam) -> str:
    """The loss of a training."""
    return LOSSES[dataset.task][0] if options.loss == "auto" else options.loss


def task_problems(dataset: Dataset, options: TrainingParam) -> Iterator[str]:
    """Names and settings that do not suit the task."""
    task = dataset.task
    yield from naming_problems(task, dataset.class_names, dataset.numbers)
    if options.loss not in ("auto", *LOSSES[task]):
        known = ", ".join(("auto", *LOSSES[task]))
        yield f"training_param.loss: {options.loss} is not for the task {task}; choose one of {known}"
    for score in options.best_scores:
        if score not in SCORES[task]:
            known = ", ".join(SCORES[task])
            yield f"training_param.best_scores: {score!r} is no score of the task {task}; known: {known}"
    if task == "numbers" and options.class_weights != "none":
        yield f"training_param.class_weights: {options.class_weights} has no meaning for the task numbers"
    if task == "numbers" and options.label_smoothing:
        yield "training_param.label_smoothing: has no meaning for the task numbers"
    if task == "numbers" and options.sampling != "all":
        yield f"training_param.sampling: {options.sampling} has no meaning for the task numbers"
    if task == "numbers" and dataset.flip_labels:
        yield "dataset.flip_labels: has no meaning for the task numbers"
