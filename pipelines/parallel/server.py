"""The processes of `pipelines.parallel.sandbox`: a server, and its child, which is forked and limited.

Where processes cannot be forked, or their memory not be limited (macOS, Windows), the server takes the items itself.
"""

import logging
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from math import ceil
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NamedTuple

from pipelines.parallel.processes import end_with_parent

resource: Any
try:
    import resource
except ImportError:  # Windows
    resource = None

log = logging.getLogger(__name__)
SIZE = Path("/proc/self/statm")  # of this process, in pages
ITEMS_PER_CHILD = 200  # a fork costs about as much as reading the packets of some files


@dataclass(frozen=True)
class Limits:
    """What one item may take."""

    seconds: float = 120.0
    """Time; waiting for the disk counts."""
    megabytes: int = 4096
    """Address space, in 2^20 bytes, in addition to what the process has when it starts."""


class Task(NamedTuple):
    """What is done with items."""

    function: Callable[[Any], Any]  # of a module that can be imported
    limits: Limits  # of each item


class Fault(NamedTuple):
    """Why there is no result."""

    status: str  # "timeout", "out_of_memory", "crashed" or "failed" (the function raised an exception)
    reason: str


FAULTS = ("timeout", "out_of_memory", "crashed", "failed")


@cache
def can_limit() -> bool:
    """Whether there are processes with limits; if not, it is told once."""
    can = bool(resource and hasattr(os, "fork") and SIZE.exists())
    if not can:
        log.warning("this system does not limit the memory of processes: a damaged file may take all there is")
    return can


def serve(parent: Connection) -> None:
    """Answer pairs of task, or None for the one before, and item with results, until the parent is gone."""
    child: _Child | None = None
    with suppress(EOFError, OSError):
        while True:
            new, item = parent.recv()
            if child is None:
                child = _Child(parent, new)
            elif child.is_spent:
                child = child.replaced(new)
            answer = child.ask(item, new)
            if isinstance(answer, Fault) and answer.status != "timeout" and child.items > 1:
                child = child.replaced()  # perhaps an earlier item's fault: only a fresh process shows it
                answer = child.ask(item)
            parent.send(answer)


def serve_alone(parent: Connection) -> None:
    """As `serve`, but without a child: the program limits the time."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    task: Task | None = None
    with suppress(EOFError, OSError):
        while True:
            new, item = parent.recv()
            if new:
                task = new
                parent.send(True)  # what the function needs is imported: from now on time counts
            assert task
            parent.send(_apply(task, item))


class _Child:
    """A forked process, seen from its server."""

    def __init__(self, parent: Connection, task: Task):
        self.items = 0  # processed so far
        self.ended = False
        self._parent, self._task = parent, task
        self._modules = len(sys.modules)
        self._connection, theirs = Pipe()
        server = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            end_with_parent()
            parent.close()
            self._connection.close()
            if os.getppid() == server:
                _work(theirs, task)
            os._exit(0)
        theirs.close()

    @property
    def is_spent(self) -> bool:
        """Whether another one should take its place; also if it would have to import what the server has by now."""
        return self.ended or self.items == ITEMS_PER_CHILD or len(sys.modules) > self._modules

    def ask(self, item: Any, new: Task | None = None) -> Any:
        """The function's result, or the fault.

        Args:
            new: another task than before.

        Raises:
            EOFError: the parent is gone.
        """
        self.items += 1
        with suppress(BrokenPipeError):
            self._connection.send((new if new is not self._task else None, item))
        self._task = new or self._task
        ready = wait([self._connection, self._parent], self._task.limits.seconds)
        if self._parent in ready:  # it asks for one thing at a time: it is gone
            raise EOFError
        answer = self._receive() if ready else timed_out(self._task.limits)
        if isinstance(answer, Fault):
            self._end()
        return answer

    def replaced(self, task: Task | None = None) -> "_Child":
        """A fresh process, perhaps for another task."""
        self._end()
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:  # those that were killed earlier
                pass
        return _Child(self._parent, task or self._task)

    def _receive(self) -> Any:
        try:
            return self._connection.recv()
        except (EOFError, OSError):  # it died before or while it answered
            self.ended = True
            return explain(os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1]), self._task.limits)

    def _end(self) -> None:
        self._connection.close()
        if not self.ended:
            self.ended = True
            os.kill(self._pid, signal.SIGKILL)  # without waiting: one that hangs in the kernel is not gone at once


def _work(server: Connection, task: Task) -> None:
    """What the forked process does, until its server is gone."""
    try:
        _limit(resource.RLIMIT_CORE, 0)
        used = int(SIZE.read_text().split()[0]) * resource.getpagesize()
        while True:
            new, item = server.recv()
            task = new or task
            limits = task.limits
            _limit(resource.RLIMIT_AS, used + (limits.megabytes << 20))
            usage = resource.getrusage(resource.RUSAGE_SELF)
            # In case its server is gone and cannot watch the time.
            _limit(resource.RLIMIT_CPU, ceil(usage.ru_utime + usage.ru_stime + limits.seconds) + 1)
            try:
                server.send(_apply(task, item))
            except OSError:
                raise
            except MemoryError:
                server.send(_out_of_memory(limits))
            except Exception as error:  # the result cannot be pickled
                server.send(Fault("failed", f"{type(error).__name__}: {error}"))
    finally:
        os._exit(0)


def _apply(task: Task, item: Any) -> Any:
    try:
        return task.function(item)
    except MemoryError:
        return _out_of_memory(task.limits)
    except Exception as error:
        return Fault("failed", f"{type(error).__name__}: {error}")


def _limit(what: int, most: int) -> None:
    hard = resource.getrlimit(what)[1]
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(what, (most, hard))


def _out_of_memory(limits: Limits) -> Fault:
    return Fault("out_of_memory", f"needs more than {limits.megabytes} MB of memory")


def timed_out(limits: Limits) -> Fault:
    return Fault("timeout", f"not done after {limits.seconds:g} s")


def explain(exit_code: int, limits: Limits) -> Fault:
    if exit_code < 0:
        name = next((known.name for known in signal.Signals if known == -exit_code), f"signal {-exit_code}")
        if name == "SIGXCPU":
            return timed_out(limits)
        return Fault("crashed", f"ended the process that read it by {name}")
    return Fault("crashed", f"ended the process that read it with exit status {exit_code}")
