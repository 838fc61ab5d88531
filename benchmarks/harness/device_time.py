"""How long work takes on a device that does it later than it is asked for."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch


def wait_for(device: torch.device | str) -> None:
    """Return when a GPU has done all that it was asked for; at once on a CPU."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def seconds_each(
    action: Callable[[], Any], repeats: int, device: torch.device, rounds: int = 3, warm_up: int = 3
) -> float:
    """The time of a call: that of a round of `repeats` calls by their number, and of several rounds the median.

    A GPU is waited for before and after each round, but not between calls, as training does not wait either.
    """
    for _ in range(warm_up):
        action()
    taken = []
    for _ in range(rounds):
        wait_for(device)
        start = time.perf_counter()
        for _ in range(repeats):
            action()
        wait_for(device)
        taken.append((time.perf_counter() - start) / repeats)
    return statistics.median(taken)
