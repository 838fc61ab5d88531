"""Ctrl-C while modules are imported ends the program at once: within an import it may become another error."""

import os
import signal
from types import FrameType

EXIT_CODE = 128 + signal.SIGINT


def end_at_once() -> None:
    """From now on, unless the program has chosen otherwise."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def raise_again() -> None:
    """From now on it is a KeyboardInterrupt again, where `end_at_once` changed that."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(_number: int, _frame: FrameType | None) -> None:
    os.write(2, b"interrupted\n")
    os._exit(EXIT_CODE)
