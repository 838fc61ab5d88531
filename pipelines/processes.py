"""Starting processes of Python that know nothing of the program that starts them."""

import ctypes
import multiprocessing
import signal
import sys
import threading
import types
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker

PR_SET_PDEATHSIG = 1  # of Linux
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
    settings = multiprocessing.current_process()._config
    before = settings.get("daemon")
    settings["daemon"] = False
    try:
        yield
    finally:
        settings["daemon"] = before


def end_with_parent() -> None:
    """Let the system end this process when its parent ends, however that happens; nothing in a main process.

    A worker that waits for work would not notice that its parent was killed.
    """
    if multiprocessing.parent_process() is not None:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@contextmanager
def deaf_to_interrupts() -> Iterator[None]:
    """Start worker processes that Ctrl-C, which all processes of a terminal get, does not end; their parent does."""
    resource_tracker.ensure_running()  # started by the first spawned process, it would unblock the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
