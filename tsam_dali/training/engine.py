"""The two loops: one epoch of training, one pass of evaluation. B clips of a rank, C classes."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple, TypeVar

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from pipelines.loader import Batch
from tsam_dali.config.load import Config
from tsam_dali.distributed import Job, sum_over_ranks
from tsam_dali.model.precision import autocast
from tsam_dali.training.loss import Targets
from tsam_dali.training.mixup import mix
from tsam_dali.training.state import TrainState

Tensors = TypeVar("Tensors", Batch, Targets)


class Step(NamedTuple):
    """The results of a step of training; tensors stay on the device."""

    norm: torch.Tensor  # (), of the gradient over all ranks
    losses: torch.Tensor  # float32 (B,)
    batch: Batch


def train_one_epoch(train_state: TrainState, batches: Iterable[Batch], after_step: Callable[[Step], bool]) -> bool:
    """Train on `batches`, adding to the metrics of the state; returns whether all of them were used.

    `after_step` is called with every step and ends the loop by returning True.
    """
    options, job, task = train_state.config.training_param, train_state.job, train_state.task
    for batch in batches:
        train_state.choose_compiled(batch)
        train_state.seed_step()
        mixed, targets = mix(batch, options, train_state.step)
        # The mean is over all readable clips of the global batch. DDP averages gradients over the ranks, hence `world`.
        count = torch.where(batch.ok, task.clip_weights(targets), 0).sum()
        share = job.world / sum_over_ranks(count).clamp(min=1e-9)
        losses = []
        for part, wanted, synchronize in _parts(train_state.model, mixed, targets, options.accumulate):
            with synchronize:
                with autocast(options, job.device):
                    logits = train_state.model(part.video, part.audio)
                losses.append(task.losses(logits, wanted, part.ok))
                train_state.scaler.scale(torch.where(part.ok, losses[-1], 0).sum() * share).backward()
            losses[-1] = losses[-1].detach()
            train_state.metrics.add(losses[-1], logits.detach(), part)
        norm = train_state.update()
        if after_step(Step(norm, torch.cat(losses), batch)):
            return False
    return True


@torch.no_grad()
def evaluate(
    model: nn.Module, batches: Iterable[Batch], config: Config, job: Job, use: Callable[[torch.Tensor, Batch], None]
) -> None:
    """Call `use` with the logits float32 (B, C) of every batch; padding and unreadable clips have ok = False."""
    model.eval()
    for batch in batches:
        with autocast(config.training_param, job.device):
            logits = model(batch.video, batch.audio)
        use(logits.float(), batch)


def _parts(
    model: nn.Module, batch: Batch, targets: Targets, parts: int
) -> Iterator[tuple[Batch, Targets, AbstractContextManager[None]]]:
    """Batch and targets in `parts` equal parts along B, each with the context in which DDP adds up gradients over the
    ranks only in the last one."""
    for i, (part, wanted) in enumerate(zip(_split(batch, parts), _split(targets, parts), strict=True)):
        synchronize: AbstractContextManager[None] = nullcontext()
        if i < parts - 1 and isinstance(model, DistributedDataParallel):
            synchronize = model.no_sync()
        yield part, wanted, synchronize


def _split(tensors: Tensors, parts: int) -> list[Tensors]:
    chunks = [[None] * parts if tensor is None else tensor.chunk(parts) for tensor in tensors]
    return [type(tensors)(*part) for part in zip(*chunks, strict=True)]
