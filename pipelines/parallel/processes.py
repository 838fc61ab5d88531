"""Starting Python processes that do not depend on the program that starts them."""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import types
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import Any

STOPPING = tuple(  # with which people and clusters stop a job; Windows has no SIGUSR1
    signal.Signals[name] for name in ("SIGTERM", "SIGUSR1", "SIGINT") if name in signal.Signals.__members__
)
TOLD_TO_END = 128 + signal.SIGTERM  # exit code of a worker that its parent ended
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
try:
    _PRCTL: Any = ctypes.CDLL(None).prctl  # before any fork
except (AttributeError, OSError, TypeError):  # not Linux
    _PRCTL = None
_lock = threading.Lock()


@contextmanager
def no_main_module() -> Iterator[None]:
    """Start worker processes without the program's main module.

    A spawned process imports the main module of its parent again. Workers need nothing of it: this saves them importing
    torch and lets scripts do without an `if __name__ == "__main__"`.
    """
    with _lock:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = types.ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main


@contextmanager
def children_allowed() -> Iterator[None]:
    """Start processes also where multiprocessing forbids it: in a daemonic process, as the workers of Dask are.

    It forbids that because such children would outlive their parent; not so children that notice its end by themselves.
    """
    settings = vars(multiprocessing.current_process())["_config"]
    before = settings.get("daemon")
    settings["daemon"] = False
    try:
        yield
    finally:
        settings["daemon"] = before


def cores() -> int:
    """The CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def end_with_parent() -> None:
    """End this process when the thread that started it ends, or its process, however that happens; on Linux alone."""
    if _PRCTL:
        _PRCTL(_PR_SET_PDEATHSIG, signal.SIGKILL)


def serve_parent() -> None:
    """Let this worker live exactly as long as its parent wants; nothing in a main process.

    It ends when its parent ends, however that happens: one that waits for work would not notice. And it ends on SIGTERM
    from its parent, but not when a launcher signals all processes of a job: the parent may still need it to come to a
    good end, and would wait for ever in a condition that a worker died in. Start it with the
    `STOPPING` signals blocked (`block_signals`).
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        end_with_parent()
        threading.Thread(target=_end_on_sigterm_of, args=(parent.pid,), daemon=True).start()


def _end_on_sigterm_of(parent: int) -> None:
    """End this process at the first SIGTERM that `parent` sends; ignore the other signals."""
    while True:
        found = signal.sigwaitinfo(STOPPING)
        if found.si_signo == signal.SIGTERM and found.si_pid == parent:
            os._exit(TOLD_TO_END)


@contextmanager
def interrupt_later() -> Iterator[None]:
    """Ctrl-C that comes inside counts at the end.

    In the middle of starting processes and threads, a library may be left in a state in which it cannot end them.
    Blocked in this thread alone, the signal would go to another one, and Python would raise it here all the same.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    came: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _frame: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            signal.raise_signal(signal.SIGINT)


@contextmanager
def block_signals(*signals: signal.Signals) -> Iterator[None]:
    """Start worker processes that do not get these signals.

    Ctrl-C goes to all processes of a terminal, a launcher's SIGTERM to all of a job; the parent decides what they mean.
    Windows, which cannot block signals, gives them to all.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # started by the first spawned process, it would unblock the signals
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
