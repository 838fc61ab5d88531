"""Finds losses and gradients that are infinite or NaN without waiting for the device."""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import torch

from tsam_dali.distributed import of_all_ranks, on_any_rank

MOST_SKIPPED = 20
"""Steps in a row that fp16 may skip: its scale falls from 65536, the first one, to 1 in 16; more have another cause."""


class NonFiniteError(ValueError):
    """A step whose loss or gradient is infinite or not a number; `rows` are its clips among those of the training."""

    def __init__(self, text: str, rows: Sequence[int] = ()):
        super().__init__(text)
        self.rows = rows


class _Kept(NamedTuple):
    step: int
    norm: torch.Tensor  # (), in the host's memory when `copied` says so
    losses: torch.Tensor  # (B,)
    rows: torch.Tensor  # (B,)
    copied: torch.cuda.Event | None


class NanGuard:
    """Checks each step's gradient norm some steps later, when it has arrived in the host's memory anyway.

    The norm is that of the gradient over all ranks, so all ranks find the same step. Its rows are kept until then.

    Args:
        allowed: steps in a row that need not be finite, as they change nothing (fp16 skips them and lowers its scale).
        late: how many steps later. With 2 the host may prepare a step while a GPU still has a whole one to do.
    """

    def __init__(self, allowed: int = 0, late: int = 1) -> None:
        self._allowed, self._late = allowed, late
        self._in_a_row = 0
        self._kept: deque[_Kept] = deque()

    def add(self, step: int, norm: torch.Tensor, losses: torch.Tensor, rows: torch.Tensor) -> None:
        """Check the step `late` steps before, then keep this one: norm (), losses (B,), rows (B,) of this rank."""
        if len(self._kept) == self._late:
            self._check(self._kept.popleft())
        copied = torch.cuda.Event() if norm.device.type == "cuda" else None
        self._kept.append(_Kept(step, norm.to("cpu", non_blocking=True), losses, rows, copied))
        if copied:
            copied.record()

    def flush(self) -> None:
        """Check the steps that are kept; all ranks call it at the same step.

        Raises:
            NonFiniteError: naming the step; with the rows of all ranks.
        """
        while self._kept:
            self._check(self._kept.popleft())

    def _check(self, kept: _Kept) -> None:
        if kept.copied:
            kept.copied.synchronize()
        if kept.norm.isfinite():
            self._in_a_row = 0
            return
        self._in_a_row += 1
        if self._in_a_row <= self._allowed:
            return
        bad = ~kept.losses.isfinite()
        what, suspects = ("loss", kept.rows[bad]) if on_any_rank(bool(bad.any())) else ("gradient", kept.rows)
        rows = sorted({row for part in of_all_ranks(suspects.tolist()) for row in part})
        before = f", as in the {self._allowed} steps before it" if self._allowed else ""
        raise NonFiniteError(f"the {what} of step {kept.step} is not finite{before}", rows)
