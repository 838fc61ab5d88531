"""A function applied to each of many items, in child processes with limits on time and memory.

For files that hang, fill the memory or crash the library that reads them: the run continues, and the item's result is a
`Fault`. Each worker is a server, a clean process that has imported what the function needs, and its child, forked
from it, which takes the items and is replaced when one of them ends it. Nothing stays behind: servers end when the
program does, however it ends, and children with their servers.

Where processes cannot be forked, or their memory not be limited (macOS, Windows), servers take the items themselves:
time is limited there as well, memory is not.
"""

import multiprocessing
import signal
import warnings
from collections.abc import Callable, Generator, Sequence
from queue import SimpleQueue
from typing import Any, TypeVar

from joblib import Parallel, delayed

from pipelines.parallel.processes import block_signals, children_allowed, no_main_module
from pipelines.parallel.server import FAULTS, Fault, Limits, can_limit, explain, serve, serve_alone, timed_out

__all__ = ["FAULTS", "Fault", "Limits", "map_limited"]

Item = TypeVar("Item")
Result = TypeVar("Result")


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
    kind = _Server if can_limit() else _LoneServer
    servers = [kind(function, limits) for _ in range(min(workers, len(items)))]
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

    _serve = staticmethod(serve)

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
        spawn = multiprocessing.get_context("spawn")
        self._process = spawn.Process(target=self._serve, args=arguments, daemon=True)
        with children_allowed(), no_main_module(), block_signals(signal.SIGINT):
            self._process.start()
        theirs.close()


class _LoneServer(_Server):
    """A server without a child."""

    _serve = staticmethod(serve_alone)
    _is_ready: bool

    def run(self, item: Any) -> Any:
        try:
            if not self._is_ready:
                self._is_ready = self._connection.recv()
            self._connection.send(item)
            if self._connection.poll(self._limits.seconds):
                return self._connection.recv()
            fault = timed_out(self._limits)
            self._process.kill()
            self._process.join()
        except (EOFError, OSError):
            self._process.join()
            fault = explain(self._process.exitcode or 0, self._limits)
        if not self._closed:
            self._start()
        return fault

    def _start(self) -> None:
        super()._start()
        self._is_ready = False
