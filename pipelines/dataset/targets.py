"""What a network learns of each clip, and how lists write it: the tasks of `dataset.task`. K labels or numbers."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, ClassVar, Literal, Protocol

import numpy as np
from annotated_types import MinLen

from pipelines.files.words import counted, first_of

TaskName = Literal["classes", "labels", "numbers"]
NONE = "-"
"""Stands in a list for a clip with none of the labels."""
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_MOST_SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class Number:
    """One of the numbers that are learnt."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    name: Annotated[str, MinLen(1)]
    range: tuple[float, float]
    """Lowest and highest value; a list with others is an error. The loss sees all ranges as equally wide."""
    unit: str = ""
    """Such as `pixels/s`, for outputs."""


class Targets(Protocol):
    """The form of the targets in the lists of a data set."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the outputs, in their order; classes may have none."""
        ...

    @property
    def size(self) -> int:
        """K, the length of `vector`; 0 for classes, which are labels in a column of their own."""
        ...

    def problem(self, text: str) -> str | None:
        """What is wrong with the target of a line, or None."""
        ...

    def same_form(self, text: str) -> str:
        """A target without a problem in the one form that all equal ones have; empty for a class."""
        ...

    def vector(self, text: str) -> np.ndarray:
        """Such a form as float64 (K,)."""
        ...

    def outputs(self, labels: Iterable[int]) -> int:
        """How many outputs the network has; `labels` are those of classes in the training list."""
        ...

    def labels(self, clip: "Targeted") -> list[int]:
        """What a clip is drawn for, where classes are to come as often as each other; at least one."""
        ...

    def weak_points(self, texts: Sequence[str]) -> list[str]:
        """What cannot be learnt from a training list with these targets, for warnings."""
        ...


@dataclass(frozen=True)
class Classes:
    """Each clip is of one class: `ID 3`."""

    names: tuple[str, ...] = ()
    size: ClassVar[int] = 0

    def problem(self, text: str) -> str | None:
        if text.isascii() and text.isdecimal() and len(text) <= 9:
            return None
        hint = ""
        if text == NONE or re.fullmatch(r"[0-9,]+", text):
            hint = "; lists with several labels need dataset.task labels"
        elif "," in text and all(map(_DECIMAL.fullmatch, text.split(","))):
            hint = "; lists with numbers need dataset.task numbers"
        return f"the label must be a whole number from 0, got {text!r}{hint}"

    def same_form(self, text: str) -> str:
        return ""

    def vector(self, text: str) -> np.ndarray:
        return np.empty(0)

    def outputs(self, labels: Iterable[int]) -> int:
        return max(labels) + 1

    def labels(self, clip: "Targeted") -> list[int]:
        return [clip.label]

    def weak_points(self, texts: Sequence[str]) -> list[str]:
        return []


@dataclass(frozen=True)
class Labels:
    """Each clip has any of K labels: `ID 3,17`, or `ID -` for none."""

    names: tuple[str, ...]

    @property
    def size(self) -> int:
        return len(self.names)

    def problem(self, text: str) -> str | None:
        if text == NONE:
            return None
        labels = text.split(",")
        wrong = [label for label in labels if not (label.isascii() and label.isdecimal() and len(label) <= 9)]
        if wrong:
            return (
                f"expected labels as whole numbers from 0 with commas and no spaces between them, or {NONE} for none, "
                f"got {text!r}"
            )
        numbers = list(map(int, labels))
        if max(numbers) >= self.size:
            return (
                f"label {max(numbers)} is beyond the {counted(self.size, 'name')} of dataset.class_names "
                f"(0 to {self.size - 1})"
            )
        if len(set(numbers)) < len(numbers):
            return f"label {max(numbers, key=numbers.count)} occurs twice in {text!r}"
        return None

    def same_form(self, text: str) -> str:
        return text if text == NONE else ",".join(map(str, sorted(map(int, text.split(",")))))

    def vector(self, text: str) -> np.ndarray:
        target = np.zeros(self.size)
        target[labels_in(text)] = 1
        return target

    def outputs(self, labels: Iterable[int]) -> int:
        return self.size

    def labels(self, clip: "Targeted") -> list[int]:
        return labels_in(clip.target) or [self.size]  # clips with none are a class of their own

    def weak_points(self, texts: Sequence[str]) -> list[str]:
        counts = np.zeros(self.size, np.int64)
        for text in texts:
            counts[labels_in(text)] += 1
        never, always = counts == 0, counts == len(texts)
        return [
            f"{counted(int(which.sum()), 'label')} of the training list {what} ({_some(self.names, which)})"
            for which, what in ((never, "without a clip"), (always, "that all clips have"))
            if which.any()
        ]


@dataclass(frozen=True)
class Numbers:
    """Each clip has K numbers: `ID 0.73,-0.2`."""

    numbers: tuple[Number, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(number.name for number in self.numbers)

    @property
    def size(self) -> int:
        return len(self.numbers)

    def problem(self, text: str) -> str | None:
        parts = text.split(",")
        if len(parts) != self.size:
            return (
                f"expected {counted(self.size, 'number')} ({', '.join(self.names)}) with commas and no spaces between "
                f"them and points for decimals, got {text!r}"
            )
        for number, part in zip(self.numbers, parts, strict=True):
            if not (_DECIMAL.fullmatch(part) and math.isfinite(float(part))):
                return f"{number.name} must be a number, got {part!r}"
            low, high = number.range
            if not low <= float(part) <= high:
                return f"{number.name} is {part}, outside of its range in dataset.numbers, {low:g} to {high:g}"
        return None

    def same_form(self, text: str) -> str:
        return ",".join(repr(float(part) + 0.0) for part in text.split(","))  # + 0.0: no negative zero

    def vector(self, text: str) -> np.ndarray:
        return np.array(text.split(","), np.float64)

    def outputs(self, labels: Iterable[int]) -> int:
        return self.size

    def labels(self, clip: "Targeted") -> list[int]:
        return [0]

    def weak_points(self, texts: Sequence[str]) -> list[str]:
        table = np.array([self.vector(text) for text in texts])
        constant = (table == table[0]).all(0)
        if not constant.any():
            return []
        count = counted(int(constant.sum()), "number")
        return [f"{count} of the training list with one value for all clips ({_some(self.names, constant)})"]


AnyTargets = Classes | Labels | Numbers


def labels_in(text: str) -> list[int]:
    """The labels in the text of a target."""
    return [] if text == NONE else list(map(int, text.split(",")))


class Targeted(Protocol):
    """What is read of a clip."""

    @property
    def label(self) -> int: ...
    @property
    def target(self) -> str: ...


def target_table(targets: Targets, clips: Iterable[Targeted]) -> np.ndarray:
    """The targets of clips, float64 (N, K)."""
    return np.array([targets.vector(clip.target) for clip in clips]).reshape(-1, targets.size)


def targets_of(task: TaskName, class_names: tuple[str, ...], numbers: tuple[Number, ...]) -> AnyTargets:
    """The form of the targets of a task."""
    if task == "numbers":
        return Numbers(numbers)
    return Labels(class_names) if task == "labels" else Classes(class_names)


def _some(names: Sequence[str], which: np.ndarray) -> str:
    return ", ".join(first_of([names[number] for number in np.flatnonzero(which).tolist()], _MOST_SHOWN))
