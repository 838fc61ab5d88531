"""Functions for tests to run in child processes in place of the real probe."""

import os
import resource
import signal
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from pipelines.dali.inputs import Arrays, DecodedVideo
from pipelines.dataset.clips import Clip
from pipelines.decode.probe import probe_video
from pipelines.sampling.plan import Plan


def by_name(path: str, checked: str = "demuxed") -> dict:
    """Does what the file's name says; other files are probed."""
    misbehave(Path(path).stem)
    return probe_video(path, checked)


@dataclass(frozen=True)
class ReadByName(DecodedVideo):
    """Does what the file's name says; other files are decoded."""

    def read(self, clip: Clip, plan: Plan, together: Collection[int] = ()) -> Arrays:
        misbehave(Path(clip.path).stem)
        return super().read(clip, plan, together)


def misbehave(name: str) -> None:
    if name.startswith("sleep"):
        time.sleep(1000)
    elif name.startswith("spin"):
        while True:
            pass
    elif name.startswith("eat"):
        bytearray(1 << 30)
    elif name.startswith("SIG"):
        os.kill(os.getpid(), signal.Signals[name])
    elif name.startswith("exit"):
        os._exit(3)
    elif name.startswith("raise"):
        raise RuntimeError("a bug")
    elif name.startswith("parent"):
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(1000)


def sleeping_decode(path: str, checked: str = "demuxed") -> dict:
    """Never done where everything is to be decoded."""
    if checked == "decoded":
        time.sleep(1000)
    return probe_video(path, checked)


def slowly(path: str, checked: str = "demuxed", *, calls: str) -> dict:
    """Takes a moment, and notes in the file `calls` that it was called."""
    with open(calls, "a") as file:
        file.write(f"{Path(path).name}\n")
    time.sleep(0.05)
    return probe_video(path, checked)


def burn(seconds: float) -> float:
    """Keeps the processor busy; the seconds of it that the kernel granted."""
    begin = time.process_time()
    while time.process_time() < begin + seconds:
        pass
    return resource.getrlimit(resource.RLIMIT_CPU)[0] - begin


_called = []


def once(item: int) -> int:
    """Brings the process down unless it is the first call there."""
    _called.append(item)
    if len(_called) > 1:
        os.kill(os.getpid(), signal.SIGSEGV)
    return item


def own_pid(item: int) -> int:
    return os.getpid()


def after(item: tuple[float, object]) -> object:
    """The second of these, after so many seconds."""
    time.sleep(item[0])
    return item[1]


def unsendable(_: object) -> object:
    """What cannot be pickled."""
    return threading.Lock()


def killed_by(number: int) -> None:
    """Ends its process by this signal."""
    os.kill(os.getpid(), number)
