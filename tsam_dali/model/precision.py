"""The number format in which a network computes, by `training_param.amp` and the device, and its memory layout."""

import logging
from functools import cache
from typing import TypeVar

import torch
from torch import nn

from tsam_dali.cli.provenance import onednn_limit
from tsam_dali.config.sections import TrainingParam

Network = TypeVar("Network", bound=nn.Module)
log = logging.getLogger(__name__)
FORMATS = {"bf16": torch.bfloat16, "fp16": torch.float16}
INSTRUCTIONS = {"bf16": ("avx512_bf16", "amx_bf16", "bf16"), "fp16": ("avx512_fp16", "amx_fp16", "fp16")}
"""As torch names them; the last of each is ARM's."""
_WITHOUT_BF16 = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI")
LIMITS_WITHOUT = {"bf16": _WITHOUT_BF16, "fp16": (*_WITHOUT_BF16, "AVX512_CORE_BF16")}
"""Values of ONEDNN_MAX_CPU_ISA that leave out these instructions."""


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
def cpu_computes_in(amp: str) -> bool:
    """Whether this CPU has instructions for the number format of `training_param.amp`, and oneDNN may use them."""
    if amp == "off":
        return True
    known = torch.cpu.get_capabilities()
    return any(known.get(name) for name in INSTRUCTIONS[amp]) and onednn_limit().upper() not in LIMITS_WITHOUT[amp]


@cache
def _log_once() -> None:
    limited = " that oneDNN may use (ONEDNN_MAX_CPU_ISA)" if onednn_limit() else ""
    log.info("training_param.amp: this CPU has no instructions for bf16%s: the network computes in float32", limited)
