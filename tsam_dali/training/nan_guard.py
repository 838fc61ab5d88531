"""Finds losses and gradients that are infinite or NaN without waiting for the device."""

from collections.abc import Sequence

import torch

from tsam_dali.distributed import of_all_ranks, on_any_rank

MOST_SKIPPED = 20
"""Steps in a row that fp16 may skip: its scale falls from 65536, the first one, to 1 in 16; more have another cause."""


class NonFiniteError(ValueError):
    """A step whose loss or gradient is infinite or not a number; `rows` are its clips among those of the training."""

    def __init__(self, text: str, rows: Sequence[int] = ()):
        super().__init__(text)
        self.rows = rows


class NanGuard:
    """Checks each step's gradient norm one step later, when it has arrived in the host's memory anyway.

    The norm is that of the gradient over all ranks, so all ranks find the same step. Its rows are kept until then.

    Args:
        allowed: steps in a row that need not be finite, as they change nothing (fp16 skips them and lowers its scale).
    """

    def __init__(self, allowed: int = 0) -> None:
        self._allowed = allowed
        self._in_a_row = 0
        self._step = -1
        self._norm: torch.Tensor | None = None
        self._losses = self._rows = torch.empty(0)

    def add(self, step: int, norm: torch.Tensor, losses: torch.Tensor, rows: torch.Tensor) -> None:
        """Check the step before, then keep this one: norm (), losses (B,), rows (B,) of this rank's part."""
        self.flush()
        self._step, self._losses, self._rows = step, losses, rows
        self._norm = norm.to("cpu", non_blocking=True)
        if norm.device.type == "cuda":
            self._copied = torch.cuda.Event()
            self._copied.record()

    def flush(self) -> None:
        """Check the step that is kept; all ranks call it at the same step.

        Raises:
            NonFiniteError: naming the step; with the rows of all ranks.
        """
        norm, self._norm = self._norm, None
        if norm is None:
            return
        if self._rows.device.type == "cuda":
            self._copied.synchronize()
        if norm.isfinite():
            self._in_a_row = 0
            return
        self._in_a_row += 1
        if self._in_a_row <= self._allowed:
            return
        bad = ~self._losses.isfinite()
        what, suspects = ("loss", self._rows[bad]) if on_any_rank(bool(bad.any())) else ("gradient", self._rows)
        rows = sorted({row for part in of_all_ranks(suspects.tolist()) for row in part})
        before = f", as in the {self._allowed} steps before it" if self._allowed else ""
        raise NonFiniteError(f"the {what} of step {self._step} is not finite{before}", rows)
