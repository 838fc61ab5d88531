"""The processes of a job: torchrun's environment, devices, communication between ranks."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from math import lcm
from typing import Any, TypedDict, TypeVar, cast

import torch
import torch.distributed as dist

from pipelines.dataset.clip_columns import Clips, new_file
from pipelines.files.words import counted
from tsam_dali.config.sections import TrainingParam

Key = TypeVar("Key")
Value = TypeVar("Value")
PART_BYTES = 1 << 24
ANSWER_SECONDS = 5
"""How long a rank that ends with an error waits for rank 0 to end with the same one."""
STEP_LIMIT, PREPARATION_LIMIT = timedelta(minutes=30), timedelta(hours=12)
"""How long a rank waits for the others: in a step, and while rank 0 works alone, as it does to index videos."""

_preparation: list[dist.ProcessGroup] = []
"""All ranks again, as a group that waits for PREPARATION_LIMIT; empty in a job of one process."""


class Place(TypedDict):
    """The arguments of `pipelines.loader.build_loader` that say which part of each batch this process takes."""

    device: torch.device
    rank: int
    world: int
    local_world: int


@dataclass(frozen=True)
class Job:
    """This process's place in the job."""

    rank: int
    world: int
    local_world: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    @property
    def place(self) -> Place:
        return Place(device=self.device, rank=self.rank, world=self.world, local_world=self.local_world)


def start(device: str | None = None) -> Job:
    """Join the job that torchrun describes, or be one process alone.

    Args:
        device: "cpu" or "cuda"; default: cuda if there is one. Each local rank takes the GPU of its number, or, not
            started by torchrun, the only one that it sees.

    Raises:
        ValueError: fewer GPUs than ranks.
    """
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    local_rank, local_world = int(os.environ.get("LOCAL_RANK", 0)), int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    kind = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if kind == "cuda":
        number = _gpu_number(local_rank, local_world)
        torch.cuda.set_device(number)
    if world > 1:
        dist.init_process_group("cpu:gloo,cuda:nccl" if kind == "cuda" else "gloo", timeout=STEP_LIMIT)
        group = dist.new_group(timeout=PREPARATION_LIMIT, backend="gloo")
        _preparation.append(cast(dist.ProcessGroup, group))  # of which this rank is one
    return Job(rank, world, local_world, torch.device(kind, number) if kind == "cuda" else torch.device(kind))


def _gpu_number(local_rank: int, local_world: int) -> int:
    """The GPU of this process: the one of its number, or the only one that a scheduler such as Slurm lets it see."""
    count = torch.cuda.device_count()
    if count == 1 and not dist.is_torchelastic_launched():
        return 0
    if count < local_world:
        raise ValueError(f"--device cuda: {counted(count, 'GPU')} here for {counted(local_world, 'rank')}")
    return local_rank


def should_report(text: str) -> bool:
    """Whether this rank is the one to print an error with which it ends.

    Rank 0 is, and another rank unless rank 0 ends with the same one. They exchange it through the job's store, as the
    other ranks may be waiting for each other. Before the job is joined, the first rank of each machine is.
    """
    if not dist.is_initialized():
        return os.environ.get("LOCAL_RANK", "0") == "0"
    store = dist.distributed_c10d._get_default_store()
    if dist.get_rank() == 0:
        store.set("error", text)
        return True
    try:
        store.wait(["error"], timedelta(seconds=ANSWER_SECONDS))
        return store.get("error").decode() != text
    except RuntimeError:  # rank 0 has none, or is gone
        return True


def check_alone() -> None:
    """Raise ValueError in a job of several processes: for a command that is one, as each would do all of its work."""
    world = int(os.environ.get("WORLD_SIZE", 1))
    if world > 1:
        raise ValueError(f"started as {world} processes, but this command is one; leave out torchrun")


def stop() -> None:
    """Leave the job."""
    _preparation.clear()
    if dist.is_initialized():
        dist.destroy_process_group()


def on_rank_0(work: Callable[[], Value]) -> Value:
    """Run `work` on rank 0 only; its result, or the exception it raised, on all ranks."""
    if not dist.is_initialized():
        return work()
    outcome: list[Any] = [None, None]
    if dist.get_rank() == 0:
        try:
            outcome[0] = work()
        except Exception as error:
            outcome[1] = error
    dist.broadcast_object_list(outcome, group=next(iter(_preparation), None), device=torch.device("cpu"))
    if outcome[1] is not None:
        raise outcome[1]
    return outcome[0]


def on_every_machine(clips: Clips) -> Clips:
    """Rank 0's clips, which `on_rank_0` has named to the other ranks, in memory that the ranks of each machine share.

    The first rank of each other machine takes a copy. All ranks call it.
    """
    if not dist.is_initialized():
        return clips
    rank, local_rank = dist.get_rank(), int(os.environ["LOCAL_RANK"])
    held = clips if rank == 0 else None
    if dist.get_world_size() > int(os.environ["LOCAL_WORLD_SIZE"]):
        size = totals(len(clips.content) if rank == 0 else 0)[0]
        with new_file() as file:
            for start in range(0, size, PART_BYTES):
                part = torch.empty(min(PART_BYTES, size - start), dtype=torch.uint8)
                if rank == 0:
                    part.numpy()[:] = memoryview(clips.content)[start : start + len(part)]
                dist.broadcast(part, src=0)
                if rank > 0 and local_rank == 0:
                    file.write(part.numpy().data)
            if rank > 0 and local_rank == 0:
                file.flush()
                held = Clips.in_file(file)
    shared = of_all_ranks(held)[rank - local_rank]  # as the first rank of this machine names them
    assert shared is not None
    len(shared)  # opens them
    totals(0)  # until all ranks have
    return shared


def check_batch_size(options: TrainingParam, job: Job) -> None:
    """Raise ValueError unless the batch divides into equal parts for all ranks, each of whole videos."""
    batch_size, step = options.batch_size, job.world * lcm(options.accumulate, options.repeats)
    if batch_size % step:
        lower = batch_size // step * step
        nearest = " or ".join(str(size) for size in (lower, lower + step) if size)
        parts = counted(options.accumulate, "part") + (f" of {options.repeats} samples" if options.repeats > 1 else "")
        raise ValueError(
            f"training_param.batch_size {batch_size} does not divide into {counted(job.world, 'rank')} x {parts}; "
            f"nearest sizes: {nearest}"
        )


def same_buffers(network: torch.nn.Module) -> None:
    """Give all ranks rank 0's buffers, such as BatchNorm's running means: what a checkpoint of rank 0 holds."""
    if dist.is_initialized():
        for buffer in network.buffers():
            dist.broadcast(buffer, src=0)


def totals(*numbers: int) -> list[int]:
    """The sum of each number over all ranks, which call it together. Never waits for a GPU."""
    return start_totals(*numbers)()


def start_totals(*numbers: int) -> Callable[[], list[int]]:
    """As `totals`, but to be called for the sums, which may be later: until then no rank waits for another."""
    if not dist.is_initialized():
        return lambda: list(numbers)
    sums = torch.tensor(numbers)  # in the CPU's memory, so gloo adds it up also in a job on GPUs
    work = dist.all_reduce(sums, async_op=True)

    def result() -> list[int]:
        work.wait()
        return sums.tolist()

    return result


def on_any_rank(flag: bool) -> bool:
    """Whether a flag is up on any rank; all ranks call it together. Never waits for a GPU."""
    return totals(int(flag))[0] > 0


def of_all_ranks(value: Value) -> list[Value]:
    """The value of each rank, in the order of the ranks, on all of them."""
    if not dist.is_initialized():
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def merged_over_ranks(part: dict[Key, Value]) -> dict[Key, Value]:
    """The entries of all ranks' dicts, on all of them."""
    return {key: value for one in of_all_ranks(part) for key, value in one.items()}


def sum_over_ranks(tensor: torch.Tensor) -> torch.Tensor:
    """The sum of `tensor` over all ranks, in place."""
    if dist.is_initialized():
        dist.all_reduce(tensor)
    return tensor


def mean_in_rank_order(_state: None, bucket: dist.GradBucket) -> torch.futures.Future[torch.Tensor]:
    """A communication hook of DistributedDataParallel: the mean over the ranks, each element added up in their order.

    gloo's own sums depend on an element's place in the bucket, which changes after the first step.
    """
    parts = [torch.empty_like(bucket.buffer()) for _ in range(dist.get_world_size())]

    def mean(_gathered: torch.futures.Future) -> torch.Tensor:
        total = parts[0]
        for part in parts[1:]:
            total += part
        return total.div_(len(parts))

    return dist.all_gather(parts, bucket.buffer(), async_op=True).get_future().then(mean)
