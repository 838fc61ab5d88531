"""Predictions as plain values, ready for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


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


Classes = tuple[ClassProbability, ...]
"""The most probable ones, the best first."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The classes of a file."""

    path: str
    classes: Classes
    has_audio: bool
    """Whether the file has an audio track; a file without one is treated as silent."""


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
    """A file without a prediction."""

    path: str
    error: str
    """Why."""


def best_classes(probabilities: Tensor, names: Sequence[str], topk: int) -> Classes:
    """The `topk` most probable classes (all, if there are fewer) of probabilities (C,) and C names."""
    best = probabilities.topk(min(topk, len(names)))
    return tuple(
        ClassProbability(label=label, name=names[label], probability=probability)
        for label, probability in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    )
