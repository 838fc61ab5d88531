"""What a process and its descendants take: CPU seconds, memory, open files; and the cores they run on (Linux)."""

import os
import time
from collections.abc import Collection
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")  # of the kernel's CPU clock, per second


def choose_cores(count: int) -> list[int]:
    """The last `count` cores of those that this process may use (the first ones serve most interrupts), or all."""
    return sorted(os.sched_getaffinity(0))[-count:]


def pin(cores: Collection[int]) -> None:
    """Keep this process, and those that it starts from now on, on `cores`; a kernel that forbids it is obeyed."""
    try:
        os.sched_setaffinity(0, cores)
    except OSError:
        return


def tree(pid: int) -> list[int]:
    """A process and its living descendants."""
    found = [pid]
    for parent in found:
        try:
            threads = list(Path(f"/proc/{parent}/task").iterdir())
            found += [int(child) for thread in threads for child in (thread / "children").read_text().split()]
        except OSError:  # it has just ended
            continue
    return found


def cpu_seconds(pid: int | None = None) -> float:
    """CPU time that a process (default: this one) and its descendants have used, in steps of a kernel tick (10 ms)."""
    return sum(_cpu_ticks(member) for member in tree(pid or os.getpid())) / _TICKS


def wait_until_idle(pid: int, quiet: float = 0.3, limit: float = 20.0) -> None:
    """Return once a process tree has used next to no CPU for `quiet` seconds, or after `limit` seconds."""
    end, used = time.monotonic() + limit, cpu_seconds(pid)
    while time.monotonic() < end:
        time.sleep(quiet)
        before, used = used, cpu_seconds(pid)
        if used - before <= 0.1 * quiet:
            return


def memory_mb(pid: int) -> dict[str, float]:
    """Memory of one process in MB (10^6 bytes): `rss` (resident), `pss` (shared pages counted by share), `private`
    (pages that no other process has), `peak` (the largest `rss` so far)."""
    now, status = _kilobytes(f"/proc/{pid}/smaps_rollup"), _kilobytes(f"/proc/{pid}/status")
    private = now["Private_Clean"] + now["Private_Dirty"]
    found = {"rss": now["Rss"], "pss": now["Pss"], "private": private, "peak": status["VmHWM"]}
    return {name: round(value * 1024 / 1e6, 2) for name, value in found.items()}


def open_files(pid: int) -> int:
    """Number of file descriptors of one process."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def shared_memory(pid: int) -> set[str]:
    """Names in /dev/shm that one process has open or mapped; names that are deleted already are left out."""
    try:
        opened = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()]
        mapped = [
            line.split(maxsplit=5)[5] for line in Path(f"/proc/{pid}/maps").read_text().splitlines() if "/" in line
        ]
    except OSError:  # it has just ended
        return set()
    paths = {path for path in (*opened, *mapped) if path.startswith("/dev/shm/")}
    return {path.removeprefix("/dev/shm/") for path in paths if not path.endswith(" (deleted)")}


def _cpu_ticks(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])  # utime and stime: fields 14 and 15, the name being the second


def _kilobytes(path: str) -> dict[str, int]:
    """The lines `Name:  123 kB` of a file."""
    lines = (line.split() for line in Path(path).read_text().splitlines())
    return {words[0].rstrip(":"): int(words[1]) for words in lines if len(words) == 3 and words[2] == "kB"}
