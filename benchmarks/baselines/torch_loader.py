"""Endless batches of a torch data set in a DataLoader, for the loaders that this project's is measured against."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from pipelines.loader import Batch


class Clips(Dataset):
    """(epoch, row) -> video float32 (S, 3, H, W), audio float32 (A, 3, H, W) or None, label.

    Attributes:
        clips: what rows count.
    """

    clips: Sequence[Any]

    def __len__(self) -> int:
        return len(self.clips)


class EndlessOrder(Sampler[tuple[int, int]]):
    """(epoch, row): one permutation after another, so that the workers never run dry at the end of an epoch."""

    def __init__(self, count: int, seed: int):
        self.count, self.seed = count, seed

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch = 0
        while True:
            for row in np.random.default_rng((self.seed, epoch)).permutation(self.count).tolist():
                yield epoch, row
            epoch += 1


def endless_batches(clips: Clips, config: Any, device: torch.device, pin_memory: bool) -> Iterator[Batch]:
    """Batches on `device`.

    Args:
        clips: the data set.
        config: the settings; `pipeline.workers` processes fetch two batches ahead each, torch's default.
        device: where the tensors end up.
        pin_memory: copy them there from pinned memory, without waiting; TSAM does not.
    """
    training = config.training_param
    loader = DataLoader(
        clips,
        batch_size=training.batch_size,
        sampler=EndlessOrder(len(clips), training.seed),
        num_workers=config.pipeline.workers,
        pin_memory=pin_memory and device.type == "cuda",
    )
    for video, audio, label in loader:
        yield _batch(video, audio, label, device)


def _batch(video: Tensor, audio: Tensor, label: Tensor, device: torch.device) -> Batch:
    video, audio, label = (tensor.to(device, non_blocking=True) for tensor in (video, audio, label))
    return Batch(video, audio, label, torch.zeros_like(label), torch.ones_like(label, dtype=torch.bool))
