"""What a rank uses of its machine: decode processes, threads of DALI, a GPU."""

import logging
from dataclasses import replace
from typing import Any, TypeVar, cast

import torch

from pipelines.dali.inputs import NVDEC_INPUTS, VideoInput
from pipelines.dataset.config import LoaderConfig
from pipelines.parallel.processes import cores

Settings = TypeVar("Settings", bound=LoaderConfig)
log = logging.getLogger(__name__)


def decode_workers(config: LoaderConfig, local_world: int) -> int:
    """Decode processes of a rank, of which the machine has `local_world`; 0: the training process decodes."""
    if config.pipeline.workers is not None:
        return config.pipeline.workers
    if config.training_param.num_workers == 0:
        return 0
    return max(1, min(config.training_param.num_workers, cores()) // local_world)


def dali_threads(video_input: VideoInput, workers: int, device: torch.device) -> int:
    """Threads of DALI: `pipeline.threads`'s default."""
    on_nvdec = device.type == "cuda" and isinstance(video_input, NVDEC_INPUTS)
    return max(workers, 8 if on_nvdec else 1)


def gpu_number(device: torch.device) -> int | None:
    """The number of a GPU, which without one of its own is the current one; None for a CPU."""
    if device.type != "cuda":
        return None
    return torch.cuda.current_device() if device.index is None else device.index


def without_a_gpu(config: Settings, device: torch.device) -> Settings:
    """The settings, but on a CPU without NVDEC: DALI's own decoder there takes neither H.264 nor HEVC."""
    pipeline = config.pipeline
    if device.type == "cuda" or pipeline.source == "frames" or pipeline.decode not in ("gpu", "gpu_whole"):
        return config
    log.warning("the settings say pipeline.decode %s; without a GPU it is cpu", pipeline.decode)
    return replace(cast(Any, config), pipeline=replace(pipeline, decode="cpu"))
