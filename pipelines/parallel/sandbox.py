"""A function applied to each of many items, in child processes with limits on time and memory.

For files that hang, fill the memory or crash the library that reads them: the run continues, and the item's result is a
`Fault`. Each worker is a server, a clean process that has imported what the function needs, and its child, forked
from it, which takes the items and is replaced when one of them ends it. Nothing stays behind: servers end when the
program does, however it ends, and children with their servers.
"""

import multiprocessing
import os
import resource
import signal
import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import ceil
from multiprocessing.connection import Connection, wait
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar

from joblib import Parallel, delayed

from pipelines.parallel.processes import block_signals, children_allowed, end_with_parent, no_main_module

Item = TypeVar("Item")
Result = TypeVar("Result")

ITEMS_PER_CHILD = 200  # a fork costs about as much as reading the packets of some files


@dataclass(frozen=True)
class Limits:
    """What one item may take."""

    seconds: float = 120.0
    """Time; waiting for the disk counts."""
    megabytes: int = 4096
    """Address space, in 2^20 bytes, in addition to what the process has when it starts."""


class Fault(NamedTuple):
    """Why there is no result."""

    status: str  # "timeout", "out_of_memory", "crashed" or "failed" (the function raised an exception)
    reason: str


FAULTS = ("timeout", "out_of_memory", "crashed", "failed")


def map_limited(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int, limits: Limits
) -> Generator[tuple[Item, Result | Fault], None, None]:
    """Pairs of item and `function(item)`, or item and `Fault`, as they come.

    Args:
        function: of a module that can be imported; what it takes and returns can be pickled.
        items: what to apply it to.
        workers: items at a time.
        limits: of each item.
    """
    if not items:
        return
    servers = [_Server(function, limits) for _ in range(min(workers, len(items)))]
    idle: SimpleQueue[_Server] = SimpleQueue()
    for server in servers:
        idle.put(server)

    def run(item: Item) -> tuple[Item, Result | Fault]:
        server = idle.get()
        try:
            return item, server.run(item)
        finally:
            idle.put(server)

    # Threads: they only wait for their processes. One item at a time, so that each result is given at once.
    jobs = Parallel(len(servers), backend="threading", batch_size=1, return_as="generator_unordered")
    results = jobs(delayed(run)(item) for item in items)
    try:
        for result in results:  # noqa: UP028, with `yield from` the threads would be closed before the servers
            yield result
    finally:
        for server in servers:
            server.close()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # joblib's, of tasks that are not done
            results.close()


class _Server:
    """A server, seen from the program."""

    def __init__(self, function: Callable[[Any], Any], limits: Limits):
        self._function = function
        self._limits = limits
        self._closed = False
        self._start()

    def run(self, item: Any) -> Any:
        try:
            self._connection.send(item)
            return self._connection.recv()
        except (EOFError, OSError):
            if not self._closed:
                self._process.join()
                self._start()
            return Fault("crashed", "the process that reads it was killed from outside, perhaps because memory ran out")

    def close(self) -> None:
        self._closed = True
        self._process.kill()
        self._process.join()

    def _start(self) -> None:
        self._connection, theirs = multiprocessing.Pipe()
        arguments = (theirs, self._function, self._limits)
        self._process = multiprocessing.get_context("spawn").Process(target=_serve, args=arguments, daemon=True)
        with children_allowed(), no_main_module(), block_signals(signal.SIGINT):
            self._process.start()
        theirs.close()


def _serve(parent: Connection, function: Callable[[Any], Any], limits: Limits) -> None:
    """Answer items with results, until the parent is gone."""
    child = _Child(parent, function, limits)
    with suppress(EOFError, OSError):
        while True:
            item = parent.recv()
            if child.ended or child.items == ITEMS_PER_CHILD:
                child = child.replaced()
            answer = child.ask(item)
            if isinstance(answer, Fault) and answer.status != "timeout" and child.items > 1:
                child = child.replaced()  # perhaps an earlier item's fault: only a fresh process shows it
                answer = child.ask(item)
            parent.send(answer)


class _Child:
    """A forked process, seen from its server."""

    def __init__(self, parent: Connection, function: Callable[[Any], Any], limits: Limits):
        self.items = 0  # processed so far
        self.ended = False
        self._parent, self._function, self._limits = parent, function, limits
        self._connection, theirs = multiprocessing.Pipe()
        server = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            end_with_parent()
            parent.close()
            self._connection.close()
            if os.getppid() == server:
                _work(theirs, function, limits)
            os._exit(0)
        theirs.close()

    def ask(self, item: Any) -> Any:
        """The function's result, or the fault.

        Raises:
            EOFError: the parent is gone.
        """
        self.items += 1
        with suppress(BrokenPipeError):
            self._connection.send(item)
        ready = wait([self._connection, self._parent], self._limits.seconds)
        if self._parent in ready:  # it asks for one thing at a time: it is gone
            raise EOFError
        answer = self._receive() if ready else _timeout(self._limits)
        if isinstance(answer, Fault):
            self._end()
        return answer

    def replaced(self) -> "_Child":
        self._end()
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:  # those that were killed earlier
                pass
        return _Child(self._parent, self._function, self._limits)

    def _receive(self) -> Any:
        try:
            return self._connection.recv()
        except (EOFError, OSError):  # it died before or while it answered
            self.ended = True
            return _explain(os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1]), self._limits)

    def _end(self) -> None:
        self._connection.close()
        if not self.ended:
            self.ended = True
            os.kill(self._pid, signal.SIGKILL)  # without waiting: one that hangs in the kernel is not gone at once


def _work(server: Connection, function: Callable[[Any], Any], limits: Limits) -> None:
    """What the forked process does, until its server is gone."""
    try:
        _limit(resource.RLIMIT_CORE, 0)
        with open("/proc/self/statm") as sizes:
            used = int(sizes.read().split()[0]) * resource.getpagesize()
        _limit(resource.RLIMIT_AS, used + (limits.megabytes << 20))
        while True:
            item = server.recv()
            usage = resource.getrusage(resource.RUSAGE_SELF)
            # In case its server is gone and cannot watch the time.
            _limit(resource.RLIMIT_CPU, ceil(usage.ru_utime + usage.ru_stime + limits.seconds) + 1)
            server.send(_apply(function, item, limits))
    finally:
        os._exit(0)


def _apply(function: Callable[[Any], Any], item: Any, limits: Limits) -> Any:
    try:
        return function(item)
    except MemoryError:
        return Fault("out_of_memory", f"needs more than {limits.megabytes} MB of memory")
    except Exception as error:
        return Fault("failed", f"{type(error).__name__}: {error}")


def _limit(what: int, most: int) -> None:
    hard = resource.getrlimit(what)[1]
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(what, (most, hard))


def _timeout(limits: Limits) -> Fault:
    return Fault("timeout", f"not done after {limits.seconds:g} s")


def _explain(exit_code: int, limits: Limits) -> Fault:
    if exit_code == -signal.SIGXCPU:
        return _timeout(limits)
    if exit_code < 0:
        return Fault("crashed", f"ended the process that read it by {signal.Signals(-exit_code).name}")
    return Fault("crashed", f"ended the process that read it with exit status {exit_code}")
