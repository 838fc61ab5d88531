"""Mixup and CutMix for clips: frames, spectrograms and labels of two clips, put together with the same share.

Sources: mixup, https://arxiv.org/abs/1710.09412; CutMix, https://arxiv.org/abs/1905.04899. One draw for a batch, whose
reverse order gives the partners, as in timm.
"""

import logging
import math
from typing import NamedTuple

import numpy as np
import torch

from pipelines.loader import Batch
from tsam_dali.config.sections import TrainingParam
from tsam_dali.distributed import Job
from tsam_dali.training.loss import Targets

log = logging.getLogger(__name__)


def warn_if_alone(options: TrainingParam, job: Job) -> None:
    """Warn if mixup or CutMix is on but no clip has a partner."""
    name = "mixup" if options.mixup else "cutmix"
    if (options.mixup or options.cutmix) and options.batch_size == job.world and job.is_main:
        log.warning(f"training_param.{name}: each rank has one clip of a step, so nothing is blended; see batch_size")


class Cut(NamedTuple):
    """What comes from the partner: this rectangle of all frames, and these columns of the spectrograms."""

    rows: slice
    columns: slice
    times: slice
    share: float  # of the frames that is left


def mix(batch: Batch, options: TrainingParam, step: int) -> tuple[Batch, Targets]:
    """Put each clip of a batch together with another one, by mixup, by CutMix, or with both switched on by one of them,
    which is drawn for each step.

    Args:
        batch: a rank's clips of one step.
        options: `mixup` and `cutmix`: alpha of the Beta(alpha, alpha) that the share is drawn from; 0: none.
        step: with the seed it makes the draws, the same on all ranks.

    Returns:
        The batch, and the two labels of each clip with the share of the first. A clip whose partner could not be read
        stays as it is.
    """
    alpha, rng = options.mixup, np.random.default_rng([options.seed, step])
    if options.cutmix:
        own = np.random.default_rng(np.random.SeedSequence([options.seed, step], spawn_key=(0,)))
        if not alpha or own.random() < 0.5:
            return _cut_and_paste(batch, options.cutmix, own)
    if not alpha:
        return batch, Targets(batch.label, batch.label, torch.ones_like(batch.row, dtype=torch.float32))
    share = torch.where(_both(batch), _share(alpha, rng), 1.0)  # (B,)

    def blend(images: torch.Tensor) -> torch.Tensor:
        """(B, segments, 3, H, W) -> the same."""
        own = share.view(-1, 1, 1, 1, 1).to(images.dtype)
        return torch.lerp(images.flip(0), images, own)

    audio = None if batch.audio is None else blend(batch.audio)
    mixed = batch._replace(video=blend(batch.video), audio=audio)
    return mixed, Targets(batch.label, batch.label.flip(0), share)


def _share(alpha: float, rng: np.random.Generator) -> float:
    drawn = float(rng.beta(alpha, alpha))
    return max(drawn, 1 - drawn)  # the first clip is the one that metrics count


def _both(batch: Batch) -> torch.Tensor:
    """Whether a clip and its partner could be read, (B,)."""
    return batch.ok & batch.ok.flip(0)


def drawn_cut(alpha: float, height: int, width: int, rng: np.random.Generator) -> Cut:
    """A rectangle with the aspect of the frame that lies inside of it, and as large a part of the time."""
    side = math.sqrt(1 - _share(alpha, rng))
    rows, columns = (_part(round(length * side), length, rng) for length in (height, width))
    taken = (rows.stop - rows.start) * (columns.stop - columns.start) / (height * width)
    return Cut(rows, columns, _part(round(width * taken), width, rng), 1 - taken)


def _part(length: int, of: int, rng: np.random.Generator) -> slice:
    start = int(rng.integers(0, of - length + 1))
    return slice(start, start + length)


def _cut_and_paste(batch: Batch, alpha: float, rng: np.random.Generator) -> tuple[Batch, Targets]:
    """CutMix: as much of the audio's time comes from the partner as of the frames' area, and as of its label."""
    height, width = batch.video.shape[-2:]
    cut, both = drawn_cut(alpha, height, width, rng), _both(batch)

    def pasted(images: torch.Tensor, rows: slice, columns: slice) -> torch.Tensor:
        """(B, segments, 3, H, W) -> the same."""
        found, there = images.clone(), (..., rows, columns)
        found[there] = torch.where(both.view(-1, 1, 1, 1, 1), images.flip(0)[there], images[there])
        return found

    audio = None if batch.audio is None else pasted(batch.audio, slice(None), cut.times)
    mixed = batch._replace(video=pasted(batch.video, cut.rows, cut.columns), audio=audio)
    return mixed, Targets(batch.label, batch.label.flip(0), torch.where(both, cut.share, 1.0))
