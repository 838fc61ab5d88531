"""What a trainer and its decode workers hold over the time, seen from outside."""

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness.processes import memory_mb, open_files, shared_memory, tree

ROLES = ("trainer", "decode workers")
QUANTITIES = ("rss", "pss", "open files", "shared memory files", "processes")
WARM_UP = 0.2  # part of each process's life that the slope leaves out: buffers and allocators grow to their size
SHORTEST = 5  # looks at a process from which its slope counts


def decode_workers(trainer: int) -> list[int]:
    """Processes that a trainer started through multiprocessing and that read clips."""
    return [pid for pid in tree(trainer)[1:] if b"multiprocessing.spawn" in _command(pid)]


def runs(pid: int) -> bool:
    """Whether a process has not ended."""
    return bool(_command(pid))


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


class Watched:
    """Looks at a trainer and its workers; `lives` has what each process held at each look, with the minute."""

    def __init__(self) -> None:
        self.lives: dict[int, list[tuple[float, dict[str, float]]]] = {}
        self.shared_names: set[str] = set()
        self._roles: dict[int, str] = {}
        self._looks: list[tuple[float, dict[str, list[dict[str, float]]]]] = []  # minute, role -> of each process

    def look(self, trainer: int, minute: float) -> None:
        """Note what the processes hold now."""
        found: dict[str, list[dict[str, float]]] = {}
        for role, pids in zip(ROLES, ([trainer], decode_workers(trainer)), strict=True):
            for pid in pids:
                if values := self._held(pid):
                    self._roles[pid] = role
                    self.lives.setdefault(pid, []).append((minute, values))
                    found.setdefault(role, []).append(values)
        self._looks.append((minute, found))

    def _held(self, pid: int) -> dict[str, float] | None:
        try:
            names = shared_memory(pid)
            self.shared_names |= names
            memory = memory_mb(pid)
            held = {"rss": memory["rss"], "pss": memory["pss"], "open files": open_files(pid)}
        except (OSError, KeyError):  # it has just ended
            return None
        return held | {"shared memory files": len(names)}

    def figure(self, role: str, quantity: str) -> dict[str, Any]:
        """The largest value among the processes of a role at each look (of "processes": their number), its slope."""
        if quantity == "processes":
            values = [(minute, float(len(found.get(role, [])))) for minute, found in self._looks]
            lives = [values]
        else:
            values = [
                (minute, max(of[quantity] for of in found[role])) for minute, found in self._looks if role in found
            ]
            lives = [
                [(minute, held[quantity]) for minute, held in life]
                for pid, life in self.lives.items()
                if self._roles[pid] == role
            ]
        minutes, series = zip(*values, strict=True)
        return {
            "process": role,
            "quantity": quantity,
            "first": series[0],
            "last": series[-1],
            "highest": max(series),
            "slope_per_hour": slope_per_hour(lives),
            "minutes": [round(minute, 2) for minute in minutes],
            "values": list(series),
        }


def slope_per_hour(lives: list[list[tuple[float, float]]]) -> float | None:
    """Least squares over all lives, each against its own mean; (minute, value) of each look. None: too few looks."""
    above = below = 0.0
    for life in lives:
        steady = np.array(life[int(WARM_UP * len(life)) :], float)
        if len(life) >= SHORTEST:
            time, value = (steady - steady.mean(axis=0)).T
            above, below = above + time @ value, below + time @ time
    return round(60 * float(above / below), 3) + 0.0 if below else None
