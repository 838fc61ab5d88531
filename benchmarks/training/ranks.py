"""Steps of training in several processes at once, each on a core of its own: apart, or as ranks of one job."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from benchmarks.harness.material import kinetics
from benchmarks.harness.measure import Variant, running
from benchmarks.training.trainer import Network, make_train_state, synthetic_batch
from pipelines.parallel.malloc import keep_freed_memory
from tsam_dali.distributed import Job
from tsam_dali.training.engine import train_one_epoch


class Mode(NamedTuple):
    """How the processes belong together."""

    processes: int
    ddp: bool  # they are ranks whose gradients are averaged


MODES = {
    "1 process": Mode(1, ddp=False),
    "1 rank, DDP": Mode(1, ddp=True),
    "2 processes, apart": Mode(2, ddp=False),
    "2 ranks, DDP": Mode(2, ddp=True),
}
COMPARED = {"1 rank, DDP": "1 process", "2 ranks, DDP": "2 processes, apart"}
"""What DDP adds, is seen beside the same work on the same cores without it."""


class Rank:
    """One process; its batch is as large in all modes."""

    def __init__(self, rank: int, mode: Mode, meeting: Path, sizes: dict[str, int], arch: str):
        keep_freed_memory()
        torch.set_num_threads(1)
        changes = {"model.video_segments": sizes["segments"], "training_param.batch_size": sizes["batch_size"]}
        config = kinetics({"model.arch": arch, **changes})
        self._rank, self._mode, self._meeting = rank, mode, meeting
        self._train_state = make_train_state(config, Network(arch, 1, "cpu", 1))
        self._batch = synthetic_batch(config, sizes["pixels"])

    def join(self) -> None:
        """Meet the other ranks."""
        if not self._mode.ddp:
            return
        world = self._mode.processes
        dist.init_process_group("gloo", init_method=f"file://{self._meeting}", rank=self._rank, world_size=world)
        self._train_state.job = Job(self._rank, world, world, torch.device("cpu"))
        self._train_state.model = DistributedDataParallel(self._train_state.network)

    def steps(self, count: int) -> float:
        """Wall seconds of a step."""
        begin = time.perf_counter()
        train_one_epoch(self._train_state, [self._batch] * count, lambda _step: False)
        return (time.perf_counter() - begin) / count

    def close(self) -> None:
        if dist.is_initialized():
            dist.destroy_process_group()


@contextmanager
def ranks(name: str, cores: Sequence[int], sizes: dict[str, int], arch: str) -> Iterator["Ranks"]:
    """The processes of a mode, one on each core."""
    mode = MODES[name]
    with tempfile.TemporaryDirectory(prefix="ranks_benchmark_") as folder:
        meeting = Path(folder) / "meeting"
        makers = {f"{name}, {i}": partial(Rank, i, mode, meeting, sizes, arch) for i in range(mode.processes)}
        with running(makers, cores) as variants:
            group = Ranks(name, variants)
            group.call("join")
            yield group


class Ranks:
    """Processes that are called at the same time; `name` as of a variant."""

    def __init__(self, name: str, variants: Sequence[Variant]):
        self.name, self.variants = name, variants

    def call(self, method: str, *arguments: int) -> list[float]:
        """Call a method of all; what each gives."""
        with ThreadPoolExecutor(len(self.variants)) as threads:
            return list(threads.map(lambda variant: variant.call(method, *arguments), self.variants))
