"""How a network computes: the number format that `training_param.amp` and the device give; the layout in memory."""

import logging
from functools import cache

import torch

from tsam_dali.options import TrainingParam

log = logging.getLogger(__name__)
FORMATS = {"bf16": torch.bfloat16, "fp16": torch.float16}
INSTRUCTIONS = {"bf16": ("avx512_bf16", "amx_bf16", "bf16"), "fp16": ("avx512_fp16", "amx_fp16", "fp16")}
"""As torch names them; the last of each is ARM's."""


def autocast(options: TrainingParam, device: torch.device) -> torch.autocast:
    """The context in which the network computes on `device`.

    A CPU without instructions for bfloat16 takes several times as long with it as with float32, so there bf16 means
    float32, and the log says so once.
    """
    enabled = options.amp != "off"
    if options.amp == "bf16" and device.type == "cpu" and not cpu_computes_in("bf16"):
        enabled = False
        _say_once()
    return torch.autocast(device.type, dtype=FORMATS.get(options.amp), enabled=enabled)


def memory_format(options: TrainingParam) -> torch.memory_format:
    """The layout of the network's weights, and so of its activations."""
    return torch.channels_last if options.channels_last else torch.contiguous_format


@cache
def cpu_computes_in(amp: str) -> bool:
    """Whether this CPU has instructions for the number format of `training_param.amp`."""
    known = torch.cpu.get_capabilities()
    return amp == "off" or any(known.get(name) for name in INSTRUCTIONS[amp])


@cache
def _say_once() -> None:
    log.info("training_param.amp: this CPU has no instructions for bf16, so the network computes in float32")
