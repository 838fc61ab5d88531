"""Running the project's commands: as a user does, or in this process where a start of its own adds nothing."""

import io
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipelines.parallel.processes import STOPPING
from tests.helpers.forks.popen import ROOT, Forked

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node")


def start(*command: object, cwd: Path = ROOT, fresh: bool = False, **options: object) -> subprocess.Popen:
    """Start `python ...`; options as for `subprocess.Popen`.

    Modules and scripts are forked off a process that has imported torch already, which spares seconds of CPU time.

    Args:
        fresh: start them as a user does, for tests of what happens until the imports are done. Each command is also
            started so in some test.
    """
    forks = not fresh and (command[0] == "-m" or str(command[0]).endswith(".py"))
    kind = Forked if forks else subprocess.Popen
    return kind([sys.executable, *map(str, command)], cwd=cwd, **options)


def run(
    *command: object, cwd: Path = ROOT, timeout: float = 240, fresh: bool = False, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess:
    """Run `python ...` to its end, see `start`; stdout and stderr as text."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with start(*command, cwd=cwd, fresh=fresh, env=env, **pipes) as process:
        try:
            output, errors = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def left_in_shared_memory() -> set[str]:
    """Names in /dev/shm that no living process has open or in its memory; those of joblib name their process."""
    processes, held = list(Path("/proc").glob("[0-9]*")), []
    for process in processes:
        with suppress(OSError):  # it has ended meanwhile
            held += [line.split()[-1] for line in (process / "maps").read_text().splitlines()]
            held += map(os.readlink, (process / "fd").iterdir())
    pids = {process.name for process in processes}
    names = {name for name in os.listdir("/dev/shm") if not pids & set(re.split("[-_]", name))}
    return names - {os.path.basename(path) for path in held if path.startswith("/dev/shm/")}


def called(main: Callable[[], None], *arguments: object) -> SimpleNamespace:
    """Run a command's `main` in this process: its exit code and what it said, as from `run`.

    It spares the seconds that torch takes to be imported. Each command is also started as a user does in some test.
    """
    output, errors, code = io.StringIO(), io.StringIO(), 0
    handler = logging.StreamHandler(errors)
    signals = {number: signal.getsignal(number) for number in STOPPING}
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        with redirect_stdout(output), redirect_stderr(errors), pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["command", *map(str, arguments)])
            main()
    except SystemExit as end:
        code = end.code or 0
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        for number, action in signals.items():
            signal.signal(number, action)
    return SimpleNamespace(returncode=code, stdout=output.getvalue(), stderr=errors.getvalue())
