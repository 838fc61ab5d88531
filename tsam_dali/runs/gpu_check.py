"""The check of a GPU's decoders on the clips of a run."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import repeat
from typing import Any, Literal

import numpy as np
import torch

from pipelines.check_gpu.check import NOT_ON_NVDEC, SECONDS, check_gpu
from pipelines.check_gpu.choice import Choice
from pipelines.check_gpu.decoding import Decoding
from pipelines.check_gpu.kinds import Kinds, find_kinds
from pipelines.check_gpu.trial import Announce
from pipelines.dataset.clips import Clip, Dataset
from pipelines.dataset.video_index import INDEX_NAME
from pipelines.files.records import each_record, is_whole
from pipelines.files.storage import location
from pipelines.loader import Batch
from tsam_dali.config.load import Config
from tsam_dali.distributed import Job
from tsam_dali.model import build_model
from tsam_dali.model.precision import on_device
from tsam_dali.training.engine import train_one_epoch
from tsam_dali.training.state import build_train_state

log = logging.getLogger(__name__)
READ_CLIPS = 2000
"""From so many clips, drawn at random, come the batches whose speed is measured."""
WARM_STEPS, STEP_SECONDS = 3, 2.0
INFO = ("codec", "pix_fmt", "rotation", "mirrored", "interlaced", "height", "width")
SplitClips = Mapping[str, Sequence[Clip]]


def as_asked(asked: Literal["gpu", "gpu_whole"], config: Config, clips: SplitClips) -> Choice:
    """NVDEC as the settings say, unless clips do not belong there."""
    refused = kinds_of(config.dataset, clips).refused
    if not refused:
        return Choice(asked, "the settings say so")
    log.warning("the settings say pipeline.decode %s, but %s do not belong on NVDEC", asked, refused)
    return Choice("cpu", NOT_ON_NVDEC.format(refused))


def as_before(state: dict[str, Any]) -> Choice:
    """With what the run of a checkpoint has decoded: other decoders give slightly other pixels."""
    if "decode" in state:
        return Choice.from_dict(state["decode"])
    asked = state["config"].get("pipeline", {}).get("decode", "cpu")
    return Choice("cpu" if asked == "auto" else asked, "the run has decoded so from its beginning")


def check(config: Config, job: Job, clips: SplitClips, num_class: int) -> Choice:
    """Check the GPU of this process with clips of the data set; a check that fails ends no run."""
    try:
        return _check(config, job, clips, num_class)
    except Exception as error:
        return Choice(reason=f"the check failed ({type(error).__name__}: {error})")


def _check(config: Config, job: Job, clips: SplitClips, num_class: int) -> Choice:
    log.info("pipeline.decode auto: trying decoders on this machine, up to a minute")
    begun = time.monotonic()
    kinds, training = kinds_of(config.dataset, clips), clips["training"]
    draws = np.random.default_rng(config.training_param.seed)
    count = min(len(training), max(READ_CLIPS, config.training_param.batch_size))
    read = [training[row] for row in sorted(draws.choice(len(training), count, replace=False).tolist())]
    decoding = Decoding(config, read, job.device, job.world, job.local_world)
    rate = partial(network_rate, config, num_class, job.device, config.training_param.batch_size // job.world)
    return check_gpu(decoding, kinds, rate, SECONDS - (time.monotonic() - begun))


def kinds_of(dataset: Dataset, clips: SplitClips) -> Kinds:
    """The kinds of the videos of both splits, by the index."""
    seen: dict[tuple[Any, ...], dict[str, Any]] = {}
    info_of = {}
    for record in each_record(dataset.root / INDEX_NAME, ("file",), is_whole):
        values = tuple(record.get(name) for name in INFO)
        info = seen.setdefault(values, dict(zip(INFO, values, strict=True)))  # of a million videos few differ
        info_of[location(dataset.data_dir, record["file"])] = info
    return find_kinds((clip for members in clips.values() for clip in members), info_of)


def network_rate(config: Config, num_class: int, device: torch.device, clips: int, announce: Announce) -> float:
    """Clips per second of steps of training, not compiled, on `clips` synthetic clips."""
    announce("training the network")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    config = replace(config, training_param=replace(config.training_param, compile=False))
    network = on_device(build_model(config, num_class), device, config.training_param)
    train_state = build_train_state(network, config, Job(0, 1, 1, device), steps_per_epoch=1000)
    side = config.data_augmentation.video_image_param.output_size
    video = torch.rand(clips, config.model.video_segments, 3, side, side, device=device)
    audio = torch.rand(clips, config.num_spectrograms, 3, side, side, device=device)
    rows = torch.arange(clips, device=device)
    label = torch.zeros(clips, num_class, device=device) if config.dataset.targets.size else rows % num_class
    batch = Batch(video, audio if config.num_spectrograms else None, label, rows, rows >= 0)
    steps, begun = 0, 0.0

    def is_last(_: object) -> bool:
        nonlocal steps, begun
        steps += 1
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if steps == WARM_STEPS:
            begun = time.perf_counter()
        return steps > WARM_STEPS and time.perf_counter() - begun > STEP_SECONDS

    train_one_epoch(train_state, repeat(batch), is_last)
    rate = clips * (steps - WARM_STEPS) / (time.perf_counter() - begun)
    del network, train_state
    torch.cuda.empty_cache()  # for the decoders that this process tries next; without a GPU nothing happens
    return rate
