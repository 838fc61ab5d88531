"""The ways to shift that `benchmarks.model.shift` measures, each in a process of its own."""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile

from benchmarks.baselines.tsam_shift import clone_shift
from benchmarks.harness.device_time import wait_for
from pipelines.parallel.malloc import keep_freed_memory
from tsam_dali.model.shift import temporal_shift
from tsam_dali.model.shift_cpu import NONE, list_sources, takes
from tsam_dali.model.shift_spec import ShiftSpec

SEGMENTS, VIDEO_SEGMENTS, F_DIV, DEPTH = 9, 8, 4, 4
SPEC = ShiftSpec(SEGMENTS, VIDEO_SEGMENTS, F_DIV, DEPTH, "keep")
COPY, OURS, COMPILED, TSAM = "plain copy", "ours", "ours, compiled", "TSAM's way"
DIRECTIONS = ("forward", "backward")
OPERATORS = ("tsam_dali::temporal_shift", "tsam_dali::temporal_shift_backward")
TRAFFIC = {"aten::copy_": 2, "aten::fill_": 1, "aten::add": 3, "aten::add_": 3}  # tensors read and written


class Case(NamedTuple):
    """The tensor that is shifted."""

    dtype: str
    layout: str


CASES = (Case("float32", "channels_last"), Case("float32", "contiguous_format"), Case("bfloat16", "channels_last"))


class Shifting:
    """One way to shift, in its own process."""

    def __init__(self, way: str, shape: Sequence[int], threads: int, device: str):
        keep_freed_memory()
        torch.set_num_threads(threads)
        self.way, self.shape, self.device = way, shape, device
        self._shift = torch.compile(temporal_shift, fullgraph=True) if way == COMPILED else temporal_shift
        self._case: tuple[Case, Tensor, Tensor] | None = None

    def time(self, case: Case, repeats: int) -> dict[str, tuple[float, float]]:
        """Median CPU and wall milliseconds of each direction."""
        taken: dict[str, list[tuple[float, float]]] = {direction: [] for direction in DIRECTIONS}
        for _ in range(repeats):
            forward, backward = self._directions(case)
            for direction, action in zip(DIRECTIONS, (forward, backward), strict=True):
                wait_for(self.device)
                cpu, wall = time.process_time(), time.perf_counter()
                action()
                wait_for(self.device)
                taken[direction].append((1000 * (time.process_time() - cpu), 1000 * (time.perf_counter() - wall)))
        return {name: tuple(torch.tensor(values).median(0).values.tolist()) for name, values in taken.items()}

    def megabytes(self, case: Case) -> dict[str, dict[str, float]]:
        """Megabytes that each direction reads and writes, and of the tensors that it makes; on a GPU not known."""
        if self.device != "cpu":
            return {direction: {} for direction in DIRECTIONS}
        found = {}
        for direction, action in zip(DIRECTIONS, self._directions(case), strict=True):
            with profile(activities=[ProfilerActivity.CPU], record_shapes=True, profile_memory=True) as seen:
                action()
            x, _ = self._tensors(case)
            moved = sum(_bytes_moved(event, x) for event in seen.events())
            new = sum(max(0, event.self_cpu_memory_usage) for event in seen.events())
            found[direction] = {"moved_megabytes": round(moved / 1e6, 1), "new_megabytes": round(new / 1e6, 1)}
        return found

    def _directions(self, case: Case) -> tuple[Callable[[], Any], Callable[[], Any]]:
        """What to call for a forward and then a backward pass."""
        x, gradient = self._tensors(case)
        if self.way == COPY:
            return x.detach().clone, gradient.clone
        shifted = []

        def forward() -> None:
            shifted.append(clone_shift(x, *SPEC[:4]) if self.way == TSAM else self._shift(x, SPEC))

        return forward, lambda: torch.autograd.grad(shifted.pop(), x, gradient)

    def _tensors(self, case: Case) -> tuple[Tensor, Tensor]:
        """x and the gradient of its shift, both of the case's dtype and layout; those of the last case are kept."""
        if self._case is None or self._case[0] != case:
            options = {"dtype": getattr(torch, case.dtype), "memory_format": getattr(torch, case.layout)}
            x, gradient = (torch.randn(*self.shape, device=self.device).to(**options) for _ in range(2))
            self._case = (case, x.requires_grad_(), gradient)
        return self._case[1:]


def _bytes_moved(event: FunctionEvent, x: Tensor) -> int:
    """What an operator on x reads and writes; 0 for those that call others or move nothing."""
    if event.name in OPERATORS and takes(x, SPEC):
        transposed = event.name.endswith("backward")
        first, second = list_sources(SPEC, F_DIV * DEPTH, 1, transposed)
        # Copies, zeros, and sums of a block that was copied with another.
        return int((2 * (first != NONE) + (first == NONE) + 3 * (second != NONE)).mean() * x.nbytes)
    if event.name in TRAFFIC:
        shapes: Any = event.input_shapes  # annotated as one shape
        return TRAFFIC[event.name] * math.prod(shapes[0]) * x.itemsize
    return 0
