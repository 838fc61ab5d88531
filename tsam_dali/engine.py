"""The two loops: one epoch of training, one pass of evaluation."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from pipelines.loader import Batch
from tsam_dali.config import Config
from tsam_dali.distributed import Job, sum_over_ranks
from tsam_dali.learner import Learner
from tsam_dali.metrics import Metrics
from tsam_dali.precision import autocast
from tsam_dali.progress import Progress


def train_one_epoch(learner: Learner, progress: Progress, config: Config, job: Job) -> dict[str, Any]:
    """Train on the batches of `progress`: {"training": loss and accuracies over all ranks, "lr", throughput}."""
    parts, limit = config.training_param.accumulate, config.optimizer_param.gd
    metrics = Metrics(learner.network.head.out_features, job.device)
    learner.model.train()
    for batch in progress:
        # The mean is over all readable clips of the global batch. DDP averages gradients over the ranks, hence `world`.
        num_ok = sum_over_ranks(batch.ok.sum().float()).clamp(min=1)
        for i, part in enumerate(_split(batch, parts)):
            with _no_sync(learner.model, unless=i == parts - 1):
                with autocast(config.training_param, job.device):
                    logits = learner.model(part.video, part.audio)
                losses = _losses(logits, part.label, config.training_param.label_smoothing)
                loss = torch.where(part.ok, losses, 0).sum() * job.world / num_ok
                learner.scaler.scale(loss).backward()
            metrics.add(losses.detach(), logits.detach(), part.label, part.ok)
        if limit:
            learner.scaler.unscale_(learner.optimizer)
            nn.utils.clip_grad_norm_(learner.model.parameters(), limit)
        learner.scaler.step(learner.optimizer)
        learner.scaler.update()
        learner.optimizer.zero_grad(set_to_none=True)
        rate = learner.schedule.get_last_lr()[0]
        learner.schedule.step()
        if progress.due():
            progress.show(loss=f"{metrics.result()['loss']:.3f}", rate=f"{rate:.2g}")
    throughput = {"clips_per_second": progress.clips_per_second, "data_wait": progress.data_wait}
    return {"training": metrics.reduce().result(), "lr": rate, **throughput}


@torch.no_grad()
def evaluate(
    model: nn.Module, progress: Progress, config: Config, job: Job, use: Callable[[torch.Tensor, Batch], None]
) -> None:
    """Hand the logits float32 (B, C) of every batch to `use`; padding and unreadable clips have ok = False."""
    model.eval()
    for batch in progress:
        with autocast(config.training_param, job.device):
            logits = model(batch.video, batch.audio)
        use(logits.float(), batch)


def validation_metrics(network: nn.Module, progress: Progress, config: Config, job: Job) -> dict[str, Any]:
    """Loss and accuracies of one pass over the validation clips, over all ranks."""
    metrics = Metrics(network.head.out_features, job.device)

    def use(logits: torch.Tensor, batch: Batch) -> None:
        metrics.add(_losses(logits, batch.label, 0.0), logits, batch.label, batch.ok)

    evaluate(network, progress, config, job, use)
    return metrics.reduce().result()


def _losses(logits: torch.Tensor, label: torch.Tensor, smoothing: float) -> torch.Tensor:
    """Cross-entropy of each sample in float32: logits (B, C), label (B,) -> (B,)."""
    return F.cross_entropy(logits.float(), label, reduction="none", label_smoothing=smoothing)


def _split(batch: Batch, parts: int) -> list[Batch]:
    """The batch in `parts` equal parts along B."""
    chunks = [[None] * parts if tensor is None else tensor.chunk(parts) for tensor in batch]
    return [Batch(*part) for part in zip(*chunks, strict=True)]


def _no_sync(model: nn.Module, unless: bool):
    """Keep DDP from adding up gradients over the ranks, except in the last part of a step."""
    return nullcontext() if unless or not hasattr(model, "no_sync") else model.no_sync()
