"""Whether labels mean the same classes as in the training of a network."""

from collections.abc import Sequence

from pipelines.files.unicode_names import same_form


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
