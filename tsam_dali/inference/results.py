"""Predictions as plain values, ready for JSON."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

    from tsam_dali.training.tasks import AnyTask


class Piece(NamedTuple):
    """A video, or the part of it from `start` to `end`: seconds on the clock of the file, as in lists of pieces."""

    path: str
    start: float = 0.0
    end: float = inf

    @property
    def is_part(self) -> bool:
        return self.start > 0 or self.end < inf

    @property
    def times(self) -> dict[str, float]:
        """Start and end of a part; of a whole file none."""
        return {"start": self.start, "end": self.end} if self.is_part else {}


class PredictionError(ValueError):
    """A file that cannot be read."""


@dataclass(frozen=True, kw_only=True)
class ClassProbability:
    """One class for one file, or for a piece of it."""

    label: int
    """Its number, as in the lists of the training."""
    name: str
    probability: float
    """0..1."""


@dataclass(frozen=True, kw_only=True)
class NumberValue:
    """One number for one file, or for a piece of it."""

    name: str
    value: float
    unit: str
    """As in the data file of the training; may be empty."""


Classes = tuple[ClassProbability | NumberValue, ...]
"""The most probable classes or labels, the best first; of a network for numbers, all of them."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The classes of a file, or of a piece of it."""

    path: str
    start: float | None = None
    """Of a piece of the file, in seconds on its clock; else None."""
    end: float | None = None
    classes: Classes
    has_audio: bool
    """Whether the file has an audio track; a file without one is treated as silent."""

    @property
    def title(self) -> str:
        """For plots."""
        name = Path(self.path).name
        return name if self.start is None else f"{name}, {self.start:g} to {self.end:g} s"


@dataclass(frozen=True, kw_only=True)
class Window:
    """The classes of a piece of a file."""

    start: float
    """Seconds from the first frame."""
    end: float
    classes: Classes
    """Empty if the piece cannot be read."""
    error: str = ""
    """Why it cannot be read."""


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """The classes of a file, window by window."""

    path: str
    duration: float
    """Seconds."""
    window: float
    """Seconds that a window lasts; those of a shorter file, and the last one, see
    `pipelines.sampling.windows.window_spans`."""
    stride: float
    """Seconds from the start of a window to that of the next."""
    has_audio: bool
    windows: tuple[Window, ...]


@dataclass(frozen=True, kw_only=True)
class Moment:
    """The classes of a stream after a frame."""

    time: float
    """Seconds from the first frame of the stream."""
    frame: int
    """Frames that the network has been given so far."""
    classes: Classes


@dataclass(frozen=True, kw_only=True)
class Unreadable:
    """A file, or a piece of it, without a prediction."""

    path: str
    start: float | None = None
    end: float | None = None
    error: str
    """Why."""


def probability_of(one: ClassProbability | NumberValue) -> float:
    """Of a class or label."""
    assert isinstance(one, ClassProbability)
    return one.probability


def best_classes(probabilities: Tensor, task: AnyTask, topk: int) -> Classes:
    """The `topk` most probable classes or labels (all, if there are fewer) of probabilities (C,), or all numbers."""
    from tsam_dali.training.tasks import NumberTask  # takes seconds, by PyTorch

    if isinstance(task, NumberTask):
        values = zip(task.names, probabilities.tolist(), task.units, strict=True)
        return tuple(NumberValue(name=name, value=value, unit=unit) for name, value, unit in values)
    names = task.names
    best = probabilities.topk(min(topk, len(names)))
    return tuple(
        ClassProbability(label=label, name=names[label], probability=probability)
        for label, probability in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    )
