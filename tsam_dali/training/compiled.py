"""Whether training compiles its network: `training_param.compile`, where it is `auto`."""

import copy
import logging
import math
import time
from typing import cast

import torch
from torch import nn

from pipelines.loader import Batch
from tsam_dali.config.sections import TrainingParam
from tsam_dali.distributed import Job, of_all_ranks
from tsam_dali.model.precision import autocast

log = logging.getLogger(__name__)
WORTH_SECONDS = 600
"""To compile takes about a minute and saves a tenth: a training that is done within this time is not worth it."""
WARM_UP, STEPS = 3, 10


def compiling_pays(network: nn.Module, batch: Batch, options: TrainingParam, job: Job, steps_left: int) -> bool:
    """Whether the network trains faster compiled, as a copy of it shows with a batch; all ranks give the same answer.

    A network that cannot be compiled, as where there is no C compiler, is trained as it is, with a warning.
    """
    if options.batch_norm == "sync" and job.world > 1:
        return False  # its layers would wait for a rank whose compiler fails
    parts = options.accumulate
    audio = None if batch.audio is None else batch.audio.chunk(parts)[0]
    part = batch._replace(video=batch.video.chunk(parts)[0], audio=audio)
    eager = _seconds_of_slowest(network, part, options, job, compiled=False)
    if not math.isfinite(eager) or eager * parts * steps_left < WORTH_SECONDS:
        return False
    compiled = _seconds_of_slowest(network, part, options, job, compiled=True)
    if job.world > 1:
        torch.compiler.reset()  # DDP needs graphs of its own, see `tsam_dali.training.state`
    if job.is_main and math.isfinite(compiled):
        text = "training_param.compile: forward and backward take %.3g s, compiled %.3g s; the network is %s"
        log.info(text, eager, compiled, "compiled" if compiled < eager else "not compiled")
    return compiled < eager


def _seconds_of_slowest(network: nn.Module, batch: Batch, options: TrainingParam, job: Job, compiled: bool) -> float:
    """Of a forward and a backward pass on the slowest rank; infinite if one fails. Weights and statistics stay."""
    seconds = math.inf
    try:
        model = copy.deepcopy(network)
        if compiled:
            model = cast(nn.Module, torch.compile(model))
        for _ in range(WARM_UP):
            _pass(model, batch, options, job.device)
        _wait(job.device)
        start = time.perf_counter()
        for _ in range(STEPS):
            _pass(model, batch, options, job.device)
        _wait(job.device)
        seconds = (time.perf_counter() - start) / STEPS
    except Exception as error:  # compilers have many; a lack of memory is one, too
        what = "compiling the network failed" if compiled else "trying whether compiling pays failed"
        log.warning("training_param.compile: %s: %s", what, (str(error).splitlines() or [repr(error)])[0])
    return max(of_all_ranks(seconds))


def _pass(model: nn.Module, batch: Batch, options: TrainingParam, device: torch.device) -> None:
    with autocast(options, device):
        logits = model(batch.video, batch.audio)
    logits.float().square().sum().backward()  # the loss itself takes no time that would count
    model.zero_grad(set_to_none=True)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
