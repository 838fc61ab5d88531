"""A sandbox that several readers share, one after the other and side by side: each gets its own results."""

import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipelines.parallel import sandbox as sandboxes
from pipelines.parallel.sandbox import Limits, Sandbox, Task
from tests.helpers import probes

LIMITS = Limits(seconds=20, megabytes=500)


@pytest.fixture(params=[True, False], ids=["limited", "alone"])
def shared(request, monkeypatch):
    """Of servers with a child that does the work, and of those that do it themselves."""
    monkeypatch.setattr(sandboxes, "can_limit", lambda: request.param)
    sandbox = Sandbox(2)
    yield sandbox
    sandbox.close()


def tasks() -> tuple[Task, Task]:
    """Equal ones, as two readers have them."""
    return Task(probes.after, LIMITS), Task(probes.after, LIMITS)


def test_one_reader_that_ends_stops_its_own_work_alone(shared):
    one, other = tasks()
    with ThreadPoolExecutor(2) as threads:
        reading = threads.submit(shared.run, one, (20, "of one"))
        others = threads.submit(shared.run, other, (2, "of the other"))
        time.sleep(1.5)  # both have begun
        shared.stop(one)
        assert reading.result(5).status == "crashed"
        assert others.result(5) == "of the other"


def test_after_ctrl_c_the_next_item_gets_its_own_result(shared):
    task, other = tasks()
    assert shared.run(task, (0, "warm")) == "warm"
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        shared.run(task, (1, "interrupted"))
    time.sleep(1)  # its result would be there by now
    for reader in (task, other):
        assert [shared.run(reader, (0, name)) for name in "abc"] == ["a", "b", "c"]


def test_a_process_that_died_while_idle_costs_no_item(shared):
    task = tasks()[0]
    shared.run(task, (0, "warm"))
    for server in multiprocessing.active_children():
        os.kill(server.pid, signal.SIGKILL)
        server.join()
    assert shared.run(task, (0, "next")) == "next"


inherited: list[Sandbox] = []


def read_by_inherited(number: int) -> object:
    return inherited[0].run(tasks()[0], (0, number))


def test_a_forked_program_starts_its_own_processes(shared, monkeypatch):
    task = tasks()[0]
    shared.run(task, (0, "warm"))
    monkeypatch.setitem(globals(), "inherited", [shared])
    with multiprocessing.get_context("fork").Pool(2) as programs:
        assert programs.map(read_by_inherited, range(6)) == list(range(6))
    assert shared.run(task, (0, "still there")) == "still there"


def test_what_cannot_be_sent_back_is_named():
    sandbox = Sandbox(1)
    fault = sandbox.run(Task(probes.unsendable, LIMITS), None)
    assert (fault.status, "lock" in fault.reason) == ("failed", True)
    fault = sandbox.run(Task(probes.killed_by, LIMITS), signal.SIGRTMIN + 5)
    assert (fault.status, fault.reason) == (
        "crashed",
        f"ended the process that read it by signal {signal.SIGRTMIN + 5}",
    )
    sandbox.close()
