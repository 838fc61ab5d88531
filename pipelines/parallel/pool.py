"""Work on many files in several processes: on this machine, or on those of a Dask cluster."""

import os
import signal
import threading
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cache
from typing import Any

import joblib
from joblib.externals.loky.backend import resource_tracker
from joblib.externals.loky.process_executor import TerminatedWorkerError, _ExecutorManagerThread

from pipelines.parallel.processes import block_signals, end_with_parent, interrupt_later
from pipelines.parallel.sandbox import Fault, Item, Limits, Result, map_limited

FILES_PER_TASK = 20
"""Files that a Dask worker takes at a time: a task costs milliseconds, the child process with limits about a second."""
SECONDS_TO_CONNECT = 20


def in_processes(function: Callable[..., Any], jobs: Iterable[tuple], workers: int, dask: str = "") -> Iterator[Any]:
    """`function(*job)` of every job, each result as soon as it is there.

    Args:
        function: of a module that can be imported.
        jobs: its arguments.
        workers: processes.
        dask: address of a Dask cluster's scheduler, whose workers take the jobs in place of processes here.

    Raises:
        ValueError: a process was killed, or there is no such cluster.
    """
    if dask:
        yield from _on_dask(function, jobs, dask, FILES_PER_TASK)
        return
    calls = (joblib.delayed(_work)(os.getpid(), function, job) for job in jobs)
    results: Generator[Any, None, None] | None = None
    try:
        resource_tracker.ensure_running()  # as in `block_signals`: joblib has one of its own
        with interrupt_later(), block_signals(signal.SIGINT):  # Ctrl-C reaches workers too; they end with this process
            results = joblib.Parallel(n_jobs=workers, return_as="generator_unordered")(calls)
        for result in results:  # noqa: UP028, with `yield from` they would be closed before what is below
            yield result
    except TerminatedWorkerError as error:
        raise ValueError(
            "a worker process was killed, perhaps because memory ran out; what is done is kept: run it again, with a "
            "smaller --workers"
        ) from error
    except BaseException:
        _watch_quietly()
        raise
    finally:
        if results is not None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # joblib's, of jobs that are not done
                results.close()


@cache
def _watch_quietly() -> None:
    """Print nothing where joblib's thread that watches the workers fails, as it may when they are ended early."""
    others = threading.excepthook

    def hook(failed: threading.ExceptHookArgs) -> None:
        if not isinstance(failed.thread, _ExecutorManagerThread):
            others(failed)

    threading.excepthook = hook


def _work(program: int, function: Callable[..., Any], job: tuple) -> Any:
    """A job in a process that does not outlive the program: those of joblib would wait for further jobs."""
    if os.getpid() != program:  # with one worker, joblib stays in the program itself
        end_with_parent()
        if os.getppid() != program:  # it ended before that
            os._exit(1)
    return function(*job)


def map_limited_on_dask(
    function: Callable[[Item], Result], items: Sequence[Item], limits: Limits, address: str
) -> Generator[tuple[Item, Result | Fault], None, None]:
    """`pipelines.parallel.sandbox.map_limited` by the workers of a Dask cluster, each with a child process of its
    own."""
    jobs = ((function, chunk, limits) for chunk in _chunks(items))
    with closing(_on_dask(_map_chunk, jobs, address, 1)) as chunks:
        for results in chunks:
            yield from results


def _chunks(items: Sequence[Item]) -> Iterator[list[Item]]:
    return (list(items[i : i + FILES_PER_TASK]) for i in range(0, len(items), FILES_PER_TASK))


def _map_chunk(
    function: Callable[[Item], Result], items: list[Item], limits: Limits
) -> list[tuple[Item, Result | Fault]]:
    return list(map_limited(function, items, 1, limits))


def _on_dask(
    function: Callable[..., Any], jobs: Iterable[tuple], address: str, per_task: int
) -> Generator[Any, None, None]:
    calls = (joblib.delayed(function)(*job) for job in jobs)
    with _client(address) as client:
        try:
            with joblib.parallel_config("dask", client=client, wait_for_workers_timeout=SECONDS_TO_CONNECT):
                yield from joblib.Parallel(batch_size=per_task, return_as="generator_unordered")(calls)
        except TimeoutError as error:
            raise ValueError(f"--dask {address}: no worker has joined the cluster; start some") from error


@contextmanager
def _client(address: str) -> Iterator[Any]:
    try:
        from distributed import Client, KilledWorker
    except ModuleNotFoundError as error:
        raise ValueError('--dask: the package "distributed" is missing; pip install "tsam_dali[dask]"') from error
    try:
        client = Client(address, timeout=SECONDS_TO_CONNECT, set_as_default=False)
    except (OSError, ValueError) as error:  # OSError: also of a time-out
        raise ValueError(f"--dask {address}: no scheduler answers there ({error})") from error
    with client:
        try:
            yield client
        except KilledWorker as error:
            raise ValueError(f"--dask {address}: {error}; what is done is kept: run it again") from error
