"""Mixed precision: the number format that `training_param.amp` and the device give."""

import logging
from functools import cache

import torch

from tsam_dali.options import TrainingParam

log = logging.getLogger(__name__)
FORMATS = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(options: TrainingParam, device: torch.device) -> torch.autocast:
    """The context in which the network computes on `device`.

    A CPU without instructions for bfloat16 takes several times as long with it as with float32, so there bf16 means
    float32, and the log says so once.
    """
    enabled = options.amp != "off"
    if options.amp == "bf16" and device.type == "cpu" and not _cpu_has_bf16():
        enabled = False
    return torch.autocast(device.type, dtype=FORMATS.get(options.amp), enabled=enabled)


@cache
def _cpu_has_bf16() -> bool:
    known = torch.cpu.get_capabilities()
    has = any(known.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))  # the last one is ARM's
    if not has:
        log.info("training_param.amp: this CPU has no instructions for bf16, so the network computes in float32")
    return has
