"""A function applied to each of many items, in child processes with limits on time and memory.

For files that hang, fill the memory or crash the library that reads them: the run continues, and the item's result is a
`Fault`. Each worker is a server, a clean process that has imported what the function needs, and its child, forked
from it, which takes the items and is replaced when one of them ends it. Nothing stays behind: servers end when the
program does, however it ends, and children with their servers.

Where processes cannot be forked, or their memory not be limited (macOS, Windows), servers take the items themselves:
time is limited there as well, memory is not.
"""

import multiprocessing
import os
import signal
import warnings
from collections.abc import Callable, Generator, Sequence
from multiprocessing.process import BaseProcess
from queue import LifoQueue
from typing import Any, TypeVar

from joblib import Parallel, delayed

from pipelines.parallel.processes import block_signals, children_allowed, no_main_module
from pipelines.parallel.server import FAULTS, Fault, Limits, Task, can_limit, explain, serve, serve_alone, timed_out

__all__ = ["FAULTS", "Fault", "Limits", "Sandbox", "Task", "map_limited"]

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_limited(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int,
    limits: Limits,
    sandbox: "Sandbox | None" = None,
) -> Generator[tuple[Item, Result | Fault], None, None]:
    """Pairs of item and `function(item)`, or item and `Fault`, as they come.

    Args:
        function: of a module that can be imported; what it takes and returns can be pickled.
        items: what to apply it to.
        workers: items at a time.
        limits: of each item.
        sandbox: whose processes do it, and go on living; default: new ones.
    """
    if not items:
        return
    workers, task = min(workers, len(items)), Task(function, limits)
    processes = sandbox or Sandbox(workers)

    def run(item: Item) -> tuple[Item, Result | Fault]:
        return item, processes.run(task, item)

    # Threads: they only wait for their processes. One item at a time, so that each result is given at once.
    jobs = Parallel(workers, backend="threading", batch_size=1, return_as="generator_unordered")
    results = jobs(delayed(run)(item) for item in items)
    try:
        for result in results:  # noqa: UP028, with `yield from` the threads would be closed before the servers
            yield result
    finally:
        processes.stop(task) if sandbox else processes.close()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # joblib's, of tasks that are not done
            results.close()


class Sandbox:
    """Child processes with limits, each started when it is first needed. They live until `close`, and no longer than
    this object or the program.

    Args:
        workers: items at a time; so many threads may call `run` without waiting for each other.
    """

    def __init__(self, workers: int):
        self._begin(workers)

    def _begin(self, workers: int) -> None:
        kind = _Server if can_limit() else _LoneServer
        self._program = os.getpid()
        self._servers = [kind() for _ in range(workers)]
        self._idle: LifoQueue[_Server] = LifoQueue()  # those that have started first
        for server in self._servers:
            self._idle.put(server)

    def run(self, task: Task, item: Any) -> Any:
        """`task.function(item)`, or a `Fault`."""
        if self._program != os.getpid():  # a fork of the program, whose processes are not its own
            self._begin(len(self._servers))
        idle = self._idle
        server = idle.get()
        try:
            return server.run(task, item)
        finally:
            idle.put(server)

    def stop(self, task: Task) -> None:
        """End the processes that are at work on this task, not on an equal one; what they work on becomes a fault."""
        for server in set(self._servers).difference(self._idle.queue):
            server.kill(task)

    def close(self) -> None:
        """End all processes at once."""
        for server in self._servers:
            server.close()


class _Server:
    """A server, seen from the program."""

    _serve = staticmethod(serve)

    def __init__(self) -> None:
        self._closed = False
        self._process: BaseProcess | None = None
        self._task: Task | None = None  # the last one that it was told
        self._folder = ""  # the working directory of its process

    def run(self, task: Task, item: Any) -> Any:
        try:
            return self._answer(task, item)
        except BaseException:  # Ctrl-C: its answer would be taken for that of the next item
            self._end()
            raise

    def _answer(self, task: Task, item: Any) -> Any:
        try:
            self._send(task, item)
            return self._connection.recv()
        except (EOFError, OSError):
            if not self._closed:
                self._end()
            return Fault("crashed", "the process that reads it was killed from outside, perhaps because memory ran out")

    def kill(self, task: Task) -> None:
        """End the process if this is its task."""
        if self._task is task and (process := self._process):
            process.kill()

    def close(self) -> None:
        self._closed = True
        self._end()

    def _send(self, task: Task, item: Any) -> bool:
        """Ask for an item; whether it is the first one of a task."""
        if self._closed:
            raise EOFError
        process = self._process
        if self._folder != (folder := _working_folder()) or (process and not process.is_alive()):
            self._end()
        if self._process is None:
            self._start()
            self._folder = folder
        is_new = task is not self._task
        self._connection.send((task if is_new else None, item))
        self._task = task
        return is_new

    def _end(self) -> int:
        """End the process, so that the next item gets another one; its exit code."""
        process, self._process, self._task = self._process, None, None
        if process is None:
            return 0
        process.kill()
        process.join()
        return process.exitcode or 0

    def _start(self) -> None:
        connection, theirs = multiprocessing.Pipe()
        spawn = multiprocessing.get_context("spawn")
        process = spawn.Process(target=self._serve, args=(theirs,), daemon=True)
        with no_main_module(), children_allowed(), block_signals(signal.SIGINT):
            process.start()
        theirs.close()
        self._connection, self._process = connection, process
        if self._closed:  # meanwhile
            self._end()


def _working_folder() -> str:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return ""


class _LoneServer(_Server):
    """A server without a child."""

    _serve = staticmethod(serve_alone)

    def _answer(self, task: Task, item: Any) -> Any:
        try:
            if self._send(task, item):
                self._connection.recv()
            if self._connection.poll(task.limits.seconds):
                return self._connection.recv()
            fault = timed_out(task.limits)
            self._end()
        except (EOFError, OSError):
            fault = explain(0 if self._closed else self._end(), task.limits)
        return fault
