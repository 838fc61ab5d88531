"""The settings of a run -> the batches of one rank: read by DALI, or by processes without it."""

import logging
from collections.abc import Sequence
from typing import Any

import torch

from pipelines.audio.from_video import FileAudio
from pipelines.audio.mel_store import MelStore
from pipelines.batches import Batch, Loader, LoaderError
from pipelines.dali.inputs import DecodedVideo, choose_input
from pipelines.dali.installed import NEEDED
from pipelines.dali.resources import dali_threads, decode_workers
from pipelines.dali.source import ClipSource
from pipelines.dataset.clips import Clip
from pipelines.dataset.config import LoaderConfig
from pipelines.dataset.flip_labels import flipped_labels
from pipelines.dataset.list_file import SPLITS, Split
from pipelines.dataset.load import load_clips
from pipelines.parallel.sandbox import Sandbox
from pipelines.sampling.batch_order import EvaluationOrder, Order, TrainingOrder, classes_of
from pipelines.sampling.views import Views
from pipelines.thread_loader import ThreadLoader

__all__ = ["Batch", "Loader", "LoaderError", "build_loader"]

log = logging.getLogger(__name__)


def build_loader(
    config: LoaderConfig,
    split: Split,
    clips: Sequence[Clip] | None = None,
    *,
    device: str | torch.device = "cpu",
    rank: int = 0,
    world: int = 1,
    local_world: int | None = None,
    views: Views | None = None,
    rank_batch: int | None = None,
    once: bool = False,
    mels: MelStore | FileAudio | None = None,
    sandbox: Sandbox | None = None,
) -> Loader:
    """The batches of one rank.

    DALI reads them. Processes without DALI do, with the same result, what is decoded `once` on the CPU, and
    every validation that is decoded there where DALI is not installed.

    Args:
        config: the settings.
        split: "training" (shuffled, augmented) or "validation" (in order, center crops).
        clips: those of the split; default: what `pipelines.dataset.load.load_clips` finds.
        device: where the tensors end up; with a CUDA device the common tail runs there too.
        rank: number of this process, from 0.
        world: number of all processes.
        local_world: number of those on this machine; default: all.
        views: of each video in a validation, one a pass; default: the centre clip alone.
        rank_batch: clips per rank in a validation step; default: this rank's part of batch_size.
        once: a validation takes each view once; what would be prepared ahead for the next pass is not read.
        mels: where the audio comes from; default: the data set's log-mel store.
        sandbox: processes that live longer than the loader; default: new ones.

    Raises:
        ValueError: another split, or a batch that is larger than the training list.
        LoaderError: DALI is needed, and not installed.
        DataError: see `load_clips`.
    """
    if split not in SPLITS:
        raise ValueError(f"split {split!r}: expected one of {', '.join(SPLITS)}")
    if clips is None:
        clips = load_clips(config)[split]
    settings, views = config.training_param, views or Views()
    batch_size, seed, repeats = settings.batch_size, settings.seed, settings.repeats
    place = {"num_clips": len(clips), "rank": rank, "world": world}
    if split == "training":
        classes = classes_of(map(config.dataset.targets.labels, clips), settings.sampling)
        order: Order = TrainingOrder(batch_size=batch_size, seed=seed, repeats=repeats, classes=classes, **place)
    else:
        size = rank_batch or max(1, batch_size // world)
        order = EvaluationOrder(rank_batch=size, views=len(views), once=once, **place)
    images = config.data_augmentation
    source = ClipSource(
        clips=clips,
        order=order,
        training=split == "training",
        repeats=repeats,
        seed=seed,
        video_input=choose_input(config, clips, on_gpu=torch.device(device).type == "cuda"),
        num_segments=config.model.video_segments,
        video=images.video_augmentation,
        audio=images.audio_augmentation,
        audio_segments=config.model.audio_segments,
        mels=mels or MelStore(config.dataset.mels, images.audio_image_param),
        targets=config.dataset.targets,
        views=views,
        frame_sampling=config.model.frame_sampling,
        flipped=flipped_labels(config.dataset),
    )
    device, workers = torch.device(device), decode_workers(config, local_world or world)
    size, prefetch = images.video_image_param.output_size, config.pipeline.prefetch
    own: Any = {"device": device, "prefetch": prefetch, "max_bad_fraction": config.pipeline.max_bad_fraction}
    without_dali = split == "validation" and isinstance(source.video_input, DecodedVideo)
    if not (without_dali and once and device.type == "cpu"):
        try:
            from pipelines.dali_loader import DaliLoader
        except ImportError as error:
            if not without_dali:
                raise LoaderError(f"{NEEDED} ({error})") from error
            log.info("DALI is not installed: PyAV reads the clips, PyTorch resizes them")
        else:
            threads = config.pipeline.threads or dali_threads(source.video_input, workers, device)
            return DaliLoader(source, size, workers=workers, threads=threads, **own)
    return ThreadLoader(source, size, workers=workers, sandbox=sandbox, **own)
