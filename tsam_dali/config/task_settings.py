"""What each task of `dataset.task` can be trained with."""

import math
from collections.abc import Iterator, Sequence

from pipelines.dataset.clips import Dataset
from pipelines.dataset.targets import Number, TaskName
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
    yield from _naming_problems(task, dataset.class_names, dataset.numbers)
    if options.loss not in ("auto", *LOSSES[task]):
        known = ", ".join(("auto", *LOSSES[task]))
        yield f"training_param.loss: {options.loss} is not for the task {task}; choose one of {known}"
    chosen = [("best_scores", score) for score in options.best_scores]
    chosen += [("early_stopping", options.early_stopping)] if options.early_stopping else []
    for name, score in chosen:
        if score not in SCORES[task]:
            known = ", ".join(SCORES[task])
            yield f"training_param.{name}: {score!r} is no score of the task {task}; known: {known}"
    if task == "numbers" and options.class_weights != "none":
        yield f"training_param.class_weights: {options.class_weights} has no meaning for the task numbers"
    if task == "numbers" and options.label_smoothing:
        yield "training_param.label_smoothing: has no meaning for the task numbers"
    if task == "numbers" and options.sampling != "all":
        yield f"training_param.sampling: {options.sampling} has no meaning for the task numbers"
    if task == "numbers" and dataset.flip_labels:
        yield "dataset.flip_labels: has no meaning for the task numbers"


def _naming_problems(task: TaskName, class_names: Sequence[str], numbers: Sequence[Number]) -> list[str]:
    """What is wrong with the names that the data file gives for a task."""
    problems = []
    if task == "labels" and not class_names:
        problems.append("dataset.class_names: empty; the task labels needs the name of each label")
    if (task == "numbers") != bool(numbers):
        missing = "empty; the task numbers needs name and range of each number"
        problems.append(f"dataset.numbers: {missing if task == 'numbers' else f'given, but dataset.task is {task}'}")
    if task == "numbers" and class_names:
        problems.append("dataset.class_names: given, but dataset.task is numbers, which have their names there")
    names = [number.name for number in numbers] if task == "numbers" else list(class_names) if task == "labels" else []
    for name in {name for name in names if names.count(name) > 1}:
        problems.append(f"dataset.{'numbers' if task == 'numbers' else 'class_names'}: the name {name!r} occurs twice")
    for number in numbers:
        low, high = number.range
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            problems.append(f"dataset.numbers: the range of {number.name} is [{low:g}, {high:g}], expected [low, high]")
    return problems
