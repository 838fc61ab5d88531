"""The order of the clips: step and place in the batch -> row of the list, for training and for evaluation.

A step takes one global batch, the same whatever the number of ranks; each rank reads its own part of it. Steps count on
over the epochs, so a position in training is one integer.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple, Protocol

import numpy as np

from pipelines.sampling.plan import epoch_order

Sampling = Literal["all", "balanced", "square_root"]
"""Which clips make up an epoch: see `training_param.sampling`."""


class Position(NamedTuple):
    """What one place of a batch holds."""

    row: int  # line of the clip list; -1: padding
    epoch: int = 0
    view: int = 0  # in a multi-clip evaluation, see `pipelines.sampling.views`
    repeat: int = 0  # number of the sample among those of its video in an epoch


class Order(Protocol):
    """The batches of one rank; `len()` is the number of steps of an epoch or pass."""

    @property
    def rank_batch(self) -> int: ...
    def __len__(self) -> int: ...
    def position(self, step: int, place: int) -> Position:
        """What stands at `place` of this rank's batch in step number `step`, counted on over epochs or passes."""


@dataclass(frozen=True, kw_only=True)
class TrainingOrder:
    """Shuffled epochs of full batches; the clips beyond the last full batch of an epoch wait for another epoch.

    The samples of a video stand side by side, so that one worker makes them one after another.

    With `classes`, clips are drawn by their class instead: see `drawn_by_class`. An epoch has as many steps as without.
    """

    num_clips: int
    batch_size: int  # samples of the whole job
    seed: int
    rank: int = 0
    world: int = 1
    repeats: int = 1  # samples of each clip in its batch
    classes: "Classes | None" = None

    def __post_init__(self):
        most = self.num_clips * self.repeats
        if self.batch_size > most:
            raise ValueError(
                f"training_param.batch_size is {self.batch_size}, but the training list has only {self.num_clips} "
                f"clips; choose at most {most}"
            )

    def __len__(self) -> int:
        """Steps of an epoch."""
        return self.num_clips * self.repeats // self.batch_size

    @property
    def rank_batch(self) -> int:
        return self.batch_size // self.world

    def position(self, step: int, place: int) -> Position:
        epoch, step_in_epoch = divmod(step, len(self))
        sample = step_in_epoch * self.batch_size + self.rank * self.rank_batch + place
        place_of_clip, repeat = divmod(sample, self.repeats)
        if self.classes is None:
            return Position(int(_epoch_order(self.num_clips, self.seed, epoch)[place_of_clip]), epoch, repeat=repeat)
        clips = len(self) * self.batch_size // self.repeats
        row, time = _drawn_by_class(self.classes, clips, self.seed, epoch)[place_of_clip].tolist()
        return Position(row, epoch, repeat=time * self.repeats + repeat)


@dataclass(frozen=True, eq=False)
class Classes:
    """The clips of each class, and how often they are to be seen. A clip with several labels is in several classes."""

    rows: np.ndarray  # of the clips, int32 (N,); N >= number of clips
    labels: np.ndarray  # class of each of these, int32 (N,)
    sampling: Sampling  # not "all"


@dataclass(frozen=True, kw_only=True)
class EvaluationOrder:
    """Every clip once a pass in the order of the list, padded so that all ranks have the same full batches.

    In a multi-clip evaluation pass number p takes view p % views of each video. Whole batches are dealt out to the
    ranks, so which clips share a batch depends on rank_batch alone, not on the number of ranks.
    """

    num_clips: int
    rank_batch: int
    rank: int = 0
    world: int = 1
    views: int = 1
    once: bool = False  # nothing but padding follows the pass of the last view

    def __len__(self) -> int:
        """Steps of a pass."""
        return -(-self.num_clips // (self.rank_batch * self.world))

    def position(self, step: int, place: int) -> Position:
        number, step_in_pass = divmod(step, len(self))
        row = (step_in_pass * self.world + self.rank) * self.rank_batch + place
        if row >= self.num_clips or (self.once and number >= self.views):
            return Position(-1)
        return Position(row, view=number % self.views)


def classes_of(labels: Iterable[Sequence[int]], sampling: Sampling) -> Classes | None:
    """The classes of all clips, each with one label or several, as one without would never be seen; None for "all"."""
    if sampling == "all":
        return None
    pairs = ((row, label) for row, of_clip in enumerate(labels) for label in of_clip)
    rows, classes = np.fromiter(pairs, np.dtype((np.int32, 2))).T
    return Classes(rows, classes, sampling)


def drawn_by_class(classes: Classes, clips: int, seed: int, epoch: int) -> np.ndarray:
    """The clips of an epoch in order, int64 (clips, 2): row, and how often that row stood there before.

    Each class has its share of the epoch: the same for all (`balanced`), or in proportion to the square root of its
    number of clips. What is left when shares are rounded down goes to classes that are drawn anew for each epoch. A
    class with fewer clips than its share has each of them equally often, to within one; of a larger one the clips are
    drawn anew for each epoch, none twice. Example: `balanced`, 100 clips of a class and 3 of another, 103 clips: 51 or
    52 of the 100, and each of the 3 clips 17 times, or one of them 18 times. A clip with several labels can be drawn
    for each of them.
    """
    rng = np.random.default_rng((seed, epoch))
    _, counts = np.unique(classes.labels, return_counts=True)
    weights = np.ones(len(counts)) if classes.sampling == "balanced" else np.sqrt(counts)
    shares = clips * weights / weights.sum()
    sizes = shares.astype(np.int64)
    left, rest = clips - sizes.sum(), shares - sizes
    if left:
        sizes[rng.choice(len(counts), left, replace=False, p=rest / rest.sum())] += 1
    members = np.split(classes.rows[np.argsort(classes.labels, kind="stable")], counts.cumsum()[:-1])
    drawn = [np.resize(rng.permutation(rows), size) for rows, size in zip(members, sizes, strict=True)]
    order = rng.permutation(np.concatenate(drawn))
    return np.stack((order, _times_before(order)), 1)


def _times_before(values: np.ndarray) -> np.ndarray:
    """How often each value stands before: 5 3 5 5 gives 0 0 1 2."""
    by_value = np.argsort(values, kind="stable")
    times = np.empty_like(by_value)
    times[by_value] = np.arange(len(values)) - np.searchsorted(values[by_value], values[by_value])
    return times


@lru_cache(maxsize=2)
def _epoch_order(num_clips: int, seed: int, epoch: int) -> np.ndarray:
    return epoch_order(num_clips, seed, epoch)


@lru_cache(maxsize=2)
def _drawn_by_class(classes: Classes, clips: int, seed: int, epoch: int) -> np.ndarray:
    return drawn_by_class(classes, clips, seed, epoch)
