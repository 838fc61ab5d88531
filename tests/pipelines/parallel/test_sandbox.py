"""Whatever a child process does, the run goes on, and nothing of it stays behind."""

import os
import signal
import subprocess
import sys
import time
from multiprocessing import resource_tracker
from pathlib import Path

import pytest

from pipelines.parallel import sandbox
from pipelines.parallel.sandbox import Limits, Sandbox, Task, map_limited
from pipelines.parallel.server import ITEMS_PER_CHILD
from tests.helpers import probes
from tests.helpers.loading import children
from tests.helpers.media import write_video
from tests.helpers.processes import ROOT

LIMITS = Limits(seconds=1, megabytes=500)


def statuses(names, workers: int = 2, limits: Limits = LIMITS) -> dict[str, str]:
    answers = dict(map_limited(probes.by_name, [f"/nowhere/{name}.mp4" for name in names], workers, limits))
    return {Path(path).stem: getattr(answer, "status", "done") for path, answer in answers.items()}


@pytest.mark.parametrize("workers", [1, 3])
def test_children_that_misbehave(workers):
    expected = {
        "a": "done",
        "sleep": "timeout",
        "b": "done",
        "spin": "timeout",
        "eat": "out_of_memory",
        "SIGSEGV": "crashed",
        "c": "done",
        "SIGKILL": "crashed",
        "SIGABRT": "crashed",
        "exit": "crashed",
        "raise": "failed",
        "parent": "crashed",
        "d": "done",
    }
    assert statuses(expected, workers) == expected


def test_servers_work_alone_where_memory_cannot_be_limited(monkeypatch):
    monkeypatch.setattr(sandbox, "can_limit", lambda: False)
    expected = {"a": "done", "sleep": "timeout", "b": "done", "SIGSEGV": "crashed", "raise": "failed", "c": "done"}
    assert statuses(expected, workers=1, limits=Limits(seconds=3)) == expected


def test_reasons():
    paths = [f"/nowhere/{name}.mp4" for name in ("sleep", "eat", "SIGSEGV", "raise")]
    reasons = [fault.reason for _, fault in sorted(map_limited(probes.by_name, paths, 1, LIMITS))]
    assert reasons == [
        "ended the process that read it by SIGSEGV",
        "needs more than 500 MB of memory",
        "RuntimeError: a bug",
        "not done after 1 s",
    ]


def test_time_of_the_processor_counts_for_each_item_alone():
    """Children live on; the limit that the kernel keeps moves with each item."""
    answers = [answer for _, answer in map_limited(probes.burn, [0.7] * 3, 1, Limits(seconds=30))]
    assert all(30.9 < left <= 32 for left in answers), answers  # and not 0.7 less with each


def test_an_item_is_not_blamed_for_what_an_earlier_one_left():
    """Only the first call of a process works: later items get a process of their own."""
    answers = list(map_limited(probes.once, list(range(4)), 1, LIMITS))
    assert answers == [(i, i) for i in range(4)]


def test_children_are_replaced_in_time():
    pids = [pid for _, pid in map_limited(probes.own_pid, list(range(2 * ITEMS_PER_CHILD + 1)), 1, LIMITS)]
    assert len(set(pids)) == 3


def test_processes_take_further_tasks():
    """The same server, with a fresh child for each task."""
    sandbox, others = Sandbox(1), set(children()) | resource_trackers()  # of other tests
    first, second = Task(probes.own_pid, LIMITS), Task(probes.by_name, LIMITS)
    child = sandbox.run(first, 0)
    server = set(children()) - others - resource_trackers()
    assert len(server) == 1
    assert sandbox.run(first, 1) == child
    assert sandbox.run(second, "/x/SIGSEGV.mp4").status == "crashed"
    assert sandbox.run(first, 2) != child
    assert set(children()) - others - resource_trackers() == server
    sandbox.close()
    assert not server & set(children())


def test_they_work_where_the_program_does(tmp_path, monkeypatch):
    sandbox, task = Sandbox(1), Task(os.path.abspath, LIMITS)
    assert sandbox.run(task, "a") == os.path.abspath("a")
    monkeypatch.chdir(tmp_path)
    assert sandbox.run(task, "a") == str(tmp_path / "a")
    sandbox.close()


def test_nothing_to_do():
    assert list(map_limited(probes.by_name, [], 2, LIMITS)) == []


def test_all_that_the_memory_holds_may_be_used():
    assert statuses(["eat"], limits=Limits(seconds=20, megabytes=1500)) == {"eat": "done"}


def test_closing_ends_children_at_once(tmp_path):
    write_video(tmp_path / "v.mp4", 5)
    resource_tracker.ensure_running()
    others = descendants(os.getpid())  # of this program and of other tests
    results = map_limited(probes.by_name, [str(tmp_path / "v.mp4"), "/x/sleep.mp4", "/x/spin.mp4"], 3, Limits())
    next(results)
    deadline = time.monotonic() + 30
    while len(children := descendants(os.getpid()) - others) < 6:  # servers and their children
        assert time.monotonic() < deadline
        time.sleep(0.05)
    start = time.monotonic()
    results.close()
    assert time.monotonic() - start < 5
    wait_until_gone(children)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_orphans(number):
    """The program is ended from outside while one child sleeps and one spins."""
    script = (
        "from pipelines.parallel.sandbox import *; from tests.helpers import probes\n"
        "for _ in map_limited(probes.by_name, ['/x/sleep.mp4', '/x/spin.mp4'], 2, Limits()): pass"
    )
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stderr=subprocess.DEVNULL) as program:
        deadline = time.monotonic() + 30
        while len(children := descendants(program.pid)) < 5:  # two servers, their children, the resource tracker
            assert time.monotonic() < deadline
            time.sleep(0.05)
        program.send_signal(number)
        program.wait(timeout=10)
    wait_until_gone(children)


def descendants(pid: int) -> set[int]:
    """Processes below `pid` that are not waiting to be reaped."""
    parents = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal():
            try:
                state, parent = Path(entry.path, "stat").read_text().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if state != "Z":
                parents[int(entry.name)] = int(parent)
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def wait_until_gone(pids: set[int]) -> None:
    deadline = time.monotonic() + 10
    while pids := {pid for pid in pids if is_running(pid)} - resource_trackers():
        assert time.monotonic() < deadline, pids
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def resource_trackers() -> set[int]:
    """That of this process, which lives as long as it does."""
    from multiprocessing import resource_tracker

    return {resource_tracker._resource_tracker._pid}
