"""The order of the clips: step and place in the batch -> row of the list, for training and for evaluation.

A step takes one global batch, the same whatever the number of ranks; each rank reads its own part of it. Steps count on
over the epochs, so a position in training is one integer.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np

from pipelines.sampling.plan import epoch_order


class Position(NamedTuple):
    """What one place of a batch holds."""

    row: int  # line of the clip list; -1: padding
    epoch: int = 0
    view: int = 0  # in a multi-clip evaluation, see `pipelines.sampling.views`
    repeat: int = 0  # number of the sample among those of its video in a training batch


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
    """

    num_clips: int
    batch_size: int  # samples of the whole job
    seed: int
    rank: int = 0
    world: int = 1
    repeats: int = 1  # samples of each clip in its batch

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
        order = _epoch_order(self.num_clips, self.seed, epoch)
        sample = step_in_epoch * self.batch_size + self.rank * self.rank_batch + place
        clip, repeat = divmod(sample, self.repeats)
        return Position(int(order[clip]), epoch, repeat=repeat)


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


@lru_cache(maxsize=2)
def _epoch_order(num_clips: int, seed: int, epoch: int) -> np.ndarray:
    return epoch_order(num_clips, seed, epoch)
