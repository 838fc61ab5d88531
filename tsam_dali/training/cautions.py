"""Settings that rarely do what their user wants, found before a training starts."""

from collections.abc import Iterator

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from pipelines.files.words import counted
from tsam_dali.config.sections import TrainingParam
from tsam_dali.distributed import Job

SMALL_BATCH = 8
"""Clips. The frames of a clip are so much alike that they count as one sample of BatchNorm's statistics."""
REMNANT = 0.05
"""Part of a moving average that may still be the network before training."""


def cautions(network: nn.Module, options: TrainingParam, job: Job, steps: int) -> Iterator[str]:
    """What to warn of; `steps` are those of the whole training."""
    clips = options.batch_size // options.accumulate // (1 if options.batch_norm == "sync" else job.world)
    trained = options.batch_norm in ("train", "sync") and options.trained != "head"
    if trained and clips < SMALL_BATCH and any(isinstance(module, _BatchNorm) for module in network.modules()):
        yield (
            f"BatchNorm takes its statistics from {counted(clips, 'clip')} at a time. Where the weights are trained "
            "already, training_param.batch_norm=frozen keeps theirs; else take larger batches (docs/learning.md)"
        )
    left = options.ema_decay**steps
    if left > REMNANT:
        yield (
            f"training_param.ema_decay: after {counted(steps, 'step')} {left:.0%} of the moving average is still the "
            f"network before training; for so few steps choose at most {max(0.0, 1 - 5 / steps):.3g}"
        )
