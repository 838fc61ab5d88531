"""Ctrl-C in the middle of starting processes."""

import os
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from joblib.externals.loky import get_reusable_executor, process_executor

from pipelines.parallel import pool
from pipelines.parallel.pool import in_processes
from tests.helpers.loading import children


def workers() -> list[int]:
    """Processes of joblib, but for the one that lives as long as this one."""
    found = {child: Path(f"/proc/{child}/cmdline").read_bytes() for child in children()}
    return [child for child, command in found.items() if b"popen_loky" in command]


def test_it_counts_when_they_have_started(monkeypatch, recwarn):
    """They are ended then; joblib could not end them before it has the thread that watches them."""
    start, end = process_executor._ExecutorManagerThread.start, threading.Event()

    def interrupted(thread):
        assert workers()
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.1)  # in the main thread the signal is blocked, so another one takes it
        start(thread)

    monkeypatch.setattr(process_executor._ExecutorManagerThread, "start", interrupted)
    get_reusable_executor(1).shutdown(kill_workers=True)  # of an earlier test
    threading.Thread(target=end.wait).start()
    with pytest.raises(KeyboardInterrupt):
        list(in_processes(abs, [(number,) for number in range(8)], 2))
    end.set()
    assert not workers()
    assert not recwarn.list


def test_the_thread_that_watches_ended_workers_fails_quietly(monkeypatch):
    told = []
    monkeypatch.setattr(threading, "excepthook", told.append)
    pool._watch_quietly.cache_clear()
    results = in_processes(abs, [(number,) for number in range(8)], 2)
    next(results)
    results.close()
    watching = object.__new__(process_executor._ExecutorManagerThread)
    others = [SimpleNamespace(thread=thread) for thread in (watching, threading.main_thread())]
    for one in others:
        threading.excepthook(one)
    assert told == others[1:]
    pool._watch_quietly.cache_clear()
