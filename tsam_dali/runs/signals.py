"""Signals that ask a run to stop: recorded when they arrive, handled where the run's state can be saved."""

import signal
from types import FrameType

from pipelines.parallel.processes import STOPPING

EXIT_CODE = 75  # of a run that was stopped and can be resumed: "try again later" in sysexits.h


def hold_signals() -> None:
    """Block such signals until there is a `StopRequest`: until then PyTorch is imported, which takes seconds."""
    if hasattr(signal, "pthread_sigmask"):  # else it is Windows, where no training starts
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)


class Interrupted(BaseException):
    """The run was asked to stop and has nothing unsaved. Not an `Exception`, so that no error handler catches it."""

    def __init__(self, by: str):
        super().__init__(f"stopped by {by}")


class StopRequest:
    """Whether this process was asked to stop, by SIGTERM, SIGUSR1 or Ctrl-C.

    While a run starts, nothing is lost by stopping at once: the signal raises `Interrupted` wherever it arrives. After
    `defer` it only sets `by`, and the loop that reads it saves first. A second Ctrl-C always ends the process.
    """

    def __init__(self) -> None:
        self.by = ""  # the name of the signal
        self._deferred = False

    def install(self) -> "StopRequest":
        """Handle the signals from now on, and those that were blocked; only the main thread can."""
        for number in STOPPING:
            signal.signal(number, self._note)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        return self

    def defer(self) -> None:
        """From now on signals wait until the loop reads `by`."""
        self._deferred = True

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.by and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.by = signal.Signals(number).name
        if not self._deferred:
            self._deferred = True  # later ones must not interrupt the handling of this one
            raise Interrupted(self.by)
