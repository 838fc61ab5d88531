"""The number format in which a network computes, by `training_param.amp` and the device, and its memory layout."""

import logging
from functools import cache
from typing import TypeVar

import torch
from torch import nn

from tsam_dali.cli.provenance import cpu_computes_in, onednn_limit
from tsam_dali.config.sections import TrainingParam

Network = TypeVar("Network", bound=nn.Module)
log = logging.getLogger(__name__)
FORMATS = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(options: TrainingParam, device: torch.device) -> torch.autocast:
    """The autocast context of the network on `device`.

    A CPU without instructions for bfloat16 takes several times as long with it as with float32, so there bf16 means
    float32, which is logged once.
    """
    enabled = options.amp != "off"
    if options.amp == "bf16" and device.type == "cpu" and not cpu_computes_in("bf16"):
        enabled = False
        _log_once()
    return torch.autocast(device.type, dtype=FORMATS.get(options.amp), enabled=enabled)


def tune_gpu(device: torch.device) -> None:
    """For training on a GPU: let cuDNN choose kernels by trying them, as all batches have one shape, and multiply
    float32 matrices in TF32, as convolutions already are. For a CPU nothing changes.
    """
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")


def on_device(network: Network, device: str | torch.device, options: TrainingParam) -> Network:
    """The network on a device, its weights, and so its activations, in the layout of `channels_last`."""
    layout = torch.channels_last if options.channels_last else torch.contiguous_format
    return network.to(device).to(memory_format=layout)


@cache
def _log_once() -> None:
    limited = " that oneDNN may use (ONEDNN_MAX_CPU_ISA)" if onednn_limit() else ""
    log.info("training_param.amp: this CPU has no instructions for bf16%s: the network computes in float32", limited)
