"""Work on many files in several processes."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import joblib
from joblib.externals.loky.process_executor import TerminatedWorkerError


def in_processes(function: Callable[..., Any], jobs: Iterable[tuple], workers: int) -> Iterator[Any]:
    """`function(*job)` of every job, each result as soon as it is there.

    Raises:
        ValueError: a process was killed.
    """
    calls = (joblib.delayed(function)(*job) for job in jobs)
    try:
        yield from joblib.Parallel(n_jobs=workers, return_as="generator_unordered")(calls)
    except TerminatedWorkerError as error:
        raise ValueError(
            "a worker process was killed, perhaps for want of memory; what is done is kept: run it again, with a "
            "smaller --workers"
        ) from error
