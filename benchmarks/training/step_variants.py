"""One step of training in the manners that `benchmarks.training.step` measures, each in a process of its own."""

import os
import resource
import time
from functools import partial
from itertools import product
from typing import NamedTuple

import torch

from benchmarks.baselines.tsam_shift import clone_shift
from benchmarks.harness.device_time import wait_for
from benchmarks.harness.material import kinetics
from benchmarks.harness.measure import MissingVariantError
from benchmarks.harness.processes import memory_mb
from benchmarks.training.trainer import NUM_CLASS, synthetic_batch
from pipelines.parallel.malloc import keep_freed_memory
from tsam_dali.config.load import Config
from tsam_dali.distributed import Job
from tsam_dali.model import build_model
from tsam_dali.model.precision import cpu_computes_in, on_device
from tsam_dali.model.shift import TemporalShift
from tsam_dali.training.engine import train_one_epoch
from tsam_dali.training.state import build_train_state


class Manner(NamedTuple):
    """How a step is done."""

    amp: str = "off"
    channels_last: bool = False
    compile: bool = False
    accumulate: int = 1
    ours: bool = True  # our shift, and freed memory is kept; else TSAM's shift and malloc as it is


class Size(NamedTuple):
    """What a step works on."""

    arch: str
    batch_size: int
    segments: int  # of video; there is one of audio
    pixels: int
    threads: int  # on the CPU
    device: str = "cpu"


TSAM = "TSAM's way"
PRECISIONS = {"float32": "off", "bf16": "bf16", "fp16": "fp16"}
MANNERS = {TSAM: Manner(ours=False)} | {
    f"{precision}-{layout}-{mode}-{parts}": Manner(
        PRECISIONS[precision], layout == "channels_last", mode == "compile", parts
    )
    for precision, layout, mode, parts in product(
        PRECISIONS, ("contiguous", "channels_last"), ("eager", "compile"), (1, 2)
    )
}


class Stepping:
    """Training of a network from scratch on one synthetic batch, with the trainer's own loop."""

    def __init__(self, manner: Manner, size: Size):
        if manner.ours:
            keep_freed_memory()
        torch.set_num_threads(size.threads)
        config, self._device = settings(manner, size), torch.device(size.device)
        if size.device == "cpu" and not cpu_computes_in(manner.amp):
            raise MissingVariantError(f"not measurable here: this CPU has no instructions for {manner.amp}")
        torch.manual_seed(0)
        network = on_device(build_model(config, NUM_CLASS), self._device, config.training_param)
        if not manner.ours:
            _use_clone_shift(network)
        job = Job(0, 1, 1, self._device)
        self._train_state = build_train_state(network, config, job, steps_per_epoch=1000)
        self._batch = synthetic_batch(config, size.pixels, size.device)

    def step(self) -> dict[str, float]:
        """One step: its wall and CPU seconds, and page faults. A GPU is waited for before and after."""
        wait_for(self._device)
        before, wall, cpu = _page_faults(), time.perf_counter(), time.process_time()
        train_one_epoch(self._train_state, [self._batch], lambda _step: False)
        wait_for(self._device)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        return {"wall": wall, "cpu": cpu, "page_faults": _page_faults() - before}

    def peak_mb(self) -> float:
        """The most memory so far, in MB: resident in the process, or in use by PyTorch on a GPU."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) / 1e6
        return memory_mb(os.getpid())["peak"]


def settings(manner: Manner, size: Size) -> Config:
    """Those of Kinetics-400, changed to this manner and size."""
    changes = {
        "model.arch": size.arch,
        "model.pretrain": "none",
        "model.video_segments": size.segments,
        "training_param.batch_size": size.batch_size,
        "training_param.amp": manner.amp,
        "training_param.channels_last": str(manner.channels_last).lower(),
        "training_param.compile": str(manner.compile).lower(),
        "training_param.accumulate": manner.accumulate,
    }
    return kinetics(changes)


def _use_clone_shift(network: torch.nn.Module) -> None:
    for shift in network.modules():
        if isinstance(shift, TemporalShift):
            sizes = shift.spec[:4]
            vars(shift)["forward"] = partial(_cloned, sizes)


def _cloned(sizes: tuple[int, int, int, int], x: torch.Tensor) -> torch.Tensor:
    return clone_shift(x, *sizes)


def _page_faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
