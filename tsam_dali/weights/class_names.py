"""Whether labels, or numbers, mean the same as in the training of a network."""

from collections.abc import Sequence
from typing import Any

from pipelines.dataset.clips import Dataset
from pipelines.files.unicode_names import same_form


def meanings(dataset: dict[str, Any]) -> tuple[str, ...]:
    """What the outputs of a network mean, by a section `dataset`; of classes without names nothing is known."""
    numbers = tuple(f"number {one['name']} {one['range']}" for one in dataset.get("numbers") or ())
    names = dataset.get("class_names")
    names = tuple(names) if isinstance(names, list | tuple) else ()
    return numbers or (tuple(f"label {name}" for name in names) if dataset.get("task") == "labels" else names)


def other_meaning(trained: Sequence[str], here: Sequence[str]) -> str | None:
    """The first label with another name, in words; None if there is none, or classes have no names."""
    for label, (before, now) in enumerate(zip(trained, here, strict=False)):
        if same_form(before) != same_form(now):
            return f"label {label} is {now!r} here, but {before!r} in the checkpoint"
    return None


def check_class_names(trained: Sequence[str], here: Sequence[str]) -> None:
    """Raise ValueError if a label has another name here than in the training."""
    difference = other_meaning(trained, here)
    if difference:
        raise ValueError(f"dataset.class_names: {difference}; use the labels of the checkpoint in the lists")


def check_targets(trained: Dataset, here: Dataset) -> None:
    """Raise ValueError if the lists of a data set hold other targets than those of the training."""
    if trained.task != here.task:
        raise ValueError(f"dataset.task: {here.task!r} here, but {trained.task!r} in the checkpoint")
    if trained.numbers != here.numbers:
        raise ValueError(
            "dataset.numbers: other names, ranges or units than in the checkpoint, "
            f"which has {[(number.name, *number.range, number.unit) for number in trained.numbers]}"
        )
    if here.task == "labels" and len(trained.class_names) != len(here.class_names):
        raise ValueError(
            f"dataset.class_names: {len(here.class_names)} here, but {len(trained.class_names)} in the checkpoint"
        )
    check_class_names(trained.class_names, here.class_names)
