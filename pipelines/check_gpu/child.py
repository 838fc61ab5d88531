"""Work in a child process with a time limit, for what may hang, crash or leave a GPU unusable."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, Self

from pipelines.parallel.processes import STOPPING, block_signals, end_with_parent, no_main_module

SECONDS_TO_END = 5
PROCESSES: Any = multiprocessing.get_context("spawn")
"""How a child is started."""


class Failed(NamedTuple):
    """Why there is no result."""

    reason: str
    time_over: bool = False


class LimitedChild:
    """A process that does one piece of work after another, and is replaced when one of them hangs or crashes it.

    Args:
        seconds: that all of the work may take.
    """

    def __init__(self, seconds: float):
        self._ends = time.monotonic() + seconds
        self._process: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def run(self, work: Callable[[Callable[[str], None]], Any], seconds: float) -> Any:
        """The result of `work`, or `Failed`.

        Args:
            work: can be pickled; it gets a function to announce what it does next, which a failure names.
            seconds: that it may take; the start of the process is not counted.
        """
        if time.monotonic() > self._ends:
            return Failed("the time for the check was over", time_over=True)
        ready = self._process is not None or self._start()
        limit = min(self._ends, time.monotonic() + seconds)
        doing = ""
        try:
            if not ready:
                raise TimeoutError
            self._connection.send(work)
            while True:
                if not self._connection.poll(max(0, limit - time.monotonic())):
                    raise TimeoutError
                kind, content = self._connection.recv()
                if kind == "done":
                    return content
                if kind == "failed":
                    self._end()  # a GPU may be of no use any more to this process
                    return Failed(_joined(doing, content))
                doing = content
        except TimeoutError:
            self._end()
            return Failed(_joined(doing, "hangs, or is too slow to be checked"), time_over=True)
        except (EOFError, OSError):
            return Failed(_joined(doing, f"the process was ended by {self._end()}"))

    def _start(self) -> bool:
        """Whether the process is ready before the time is over."""
        self._connection, theirs = multiprocessing.Pipe()
        self._process = PROCESSES.Process(target=_serve, args=(theirs,))
        with no_main_module(), block_signals(*STOPPING):
            self._process.start()
        theirs.close()
        with suppress(EOFError, OSError):
            return self._connection.poll(self._ends - time.monotonic()) and self._connection.recv() == "ready"
        return True  # it has crashed, which the first use shows

    def _end(self) -> str:
        """End the process; how it had ended."""
        process, self._process = self._process, None
        if process is None:
            return ""
        self._connection.close()  # one that waits for work ends
        process.join(0.5)
        code = process.exitcode
        process.kill()
        process.join(SECONDS_TO_END)  # not for ever: one that hangs in a driver does not end
        return signal.Signals(-code).name if code is not None and code < 0 else f"exit status {code}"


def _serve(connection: Connection) -> None:
    end_with_parent()
    with open(os.devnull, "wb") as nowhere:  # what decoders say of the damaged clip; reasons come by the connection
        for stream in (1, 2):
            os.dup2(nowhere.fileno(), stream)
    import pipelines.check_gpu.trial  # noqa: F401, which takes seconds

    connection.send("ready")
    with suppress(EOFError):
        while True:
            work = connection.recv()
            try:
                result = "done", work(lambda text: connection.send(("doing", text)))
            except Exception as error:
                line = (str(error).strip() or type(error).__name__).splitlines()
                result = "failed", f"{type(error).__name__}: {line[0]}"
            connection.send(result)


def _joined(doing: str, what: str) -> str:
    return f"{doing}: {what}" if doing else what
