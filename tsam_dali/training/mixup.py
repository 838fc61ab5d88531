"""Mixup for clips: frames, spectrograms and labels of two clips, blended with the same share.

Source: mixup, https://arxiv.org/abs/1710.09412; one share for a batch, whose reverse order gives the partners, as in
timm.
"""

import logging

import numpy as np
import torch

from pipelines.loader import Batch
from tsam_dali.config.sections import TrainingParam
from tsam_dali.distributed import Job
from tsam_dali.training.loss import Targets

log = logging.getLogger(__name__)


def warn_if_alone(options: TrainingParam, job: Job) -> None:
    """Warn if mixup is on but no clip has a partner."""
    if options.mixup and options.batch_size == job.world and job.is_main:
        log.warning("training_param.mixup: each rank has one clip of a step, so nothing is blended; see batch_size")


def mix(batch: Batch, alpha: float, seed: int, step: int) -> tuple[Batch, Targets]:
    """Blend each clip of a batch with another one.

    Args:
        batch: a rank's clips of one step.
        alpha: of the Beta(alpha, alpha) that the share is drawn from; 0: nothing is blended.
        seed, step: the share is a function of them, the same on all ranks.

    Returns:
        The blended batch, and the two labels of each clip with the share of the first. A clip whose partner could not
        be read stays as it is.
    """
    if not alpha:
        return batch, Targets(batch.label, batch.label, torch.ones_like(batch.row, dtype=torch.float32))
    drawn = float(np.random.default_rng([seed, step]).beta(alpha, alpha))
    drawn = max(drawn, 1 - drawn)  # the first clip is the one that metrics count
    share = torch.where(batch.ok & batch.ok.flip(0), drawn, 1.0)  # (B,)

    def blend(images: torch.Tensor) -> torch.Tensor:
        """(B, segments, 3, H, W) -> the same."""
        own = share.view(-1, 1, 1, 1, 1).to(images.dtype)
        return torch.lerp(images.flip(0), images, own)

    audio = None if batch.audio is None else blend(batch.audio)
    mixed = batch._replace(video=blend(batch.video), audio=audio)
    return mixed, Targets(batch.label, batch.label.flip(0), share)
