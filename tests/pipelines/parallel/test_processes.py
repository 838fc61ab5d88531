"""Worker processes: whose signals they heed, and when they end."""

import multiprocessing
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from pipelines.parallel.processes import STOPPING, block_signals, no_main_module, serve_parent
from tests.helpers.processes import ROOT


def work(connection) -> None:
    """A worker: say that it is there, then answer whatever comes."""
    serve_parent()
    connection.send("ready")
    while True:
        connection.send(connection.recv())


def busy(connection) -> None:
    """A worker that would not notice by its pipe that its parent is gone."""
    serve_parent()
    connection.send("ready")
    time.sleep(60)


@pytest.fixture
def worker():
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(theirs,), daemon=True)
    with no_main_module(), block_signals(*STOPPING):
        process.start()
    yield process, ours
    process.kill()
    process.join()


@pytest.mark.parametrize("number", STOPPING)
def test_signals_of_others_do_not_end_a_worker(worker, number):
    process, connection = worker
    send = [sys.executable, "-c", f"import os; os.kill({process.pid}, {int(number)})"]
    subprocess.run(send, check=True)  # while it starts
    assert connection.recv() == "ready"
    subprocess.run(send, check=True)
    connection.send("alive?")
    assert connection.recv() == "alive?"
    assert process.is_alive()


def test_its_parent_ends_a_worker(worker):
    process, connection = worker
    connection.recv()
    process.terminate()
    process.join(10)
    assert process.exitcode == 128 + signal.SIGTERM


def test_the_parent_still_gets_its_signals(worker):
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, []) & set(STOPPING)


def test_a_worker_ends_with_its_parent():
    program = """
        import multiprocessing, os, signal
        from pipelines.parallel.processes import STOPPING, block_signals, no_main_module
        from tests.pipelines.parallel.test_processes import busy
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=busy, args=(theirs,))
        with no_main_module(), block_signals(*STOPPING):
            process.start()
        ours.recv()
        print(process.pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        pid = int(parent.stdout.readline())
        assert parent.wait(60) == -signal.SIGKILL
        ends = time.monotonic() + 10
        while alive(pid):
            assert time.monotonic() < ends
            time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()  # ended, only not yet noticed by init
    except FileNotFoundError:
        return False
