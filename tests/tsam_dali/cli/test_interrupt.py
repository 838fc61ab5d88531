"""Ctrl-C, which reaches all processes of a terminal: no command answers it with a traceback."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.helpers.checkpoints import checkpoint
from tests.helpers.media import write_video
from tests.helpers.processes import ROOT

PROGRAM = (sys.executable, "-c", "from tsam_dali.cli.program import main; main()")


def interrupted(*words: object, when: Callable[[int], bool], folder: Path) -> tuple[int, str]:
    """Exit code and errors of `tsam ...` after Ctrl-C at the first moment at which `when` of its process ID holds."""
    process = subprocess.Popen(
        [*PROGRAM, *map(str, words)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while process.poll() is None and not when(process.pid):
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    return process.returncode, errors


def loads(library: str) -> Callable[[int], bool]:
    return lambda pid: library in Path(f"/proc/{pid}/maps").read_text()


def starts_workers(pid: int) -> bool:
    """Whether a worker of joblib has been started, which first imports for a while."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return any(b"loky" in Path(f"/proc/{child}/cmdline").read_bytes() for child in children)


def test_while_large_packages_are_imported(tmp_path):
    write_video(tmp_path / "a.mp4", 8)
    words = ("predict", "--checkpoint", checkpoint(tmp_path / "c"), "a.mp4")
    assert interrupted(*words, when=loads("torch"), folder=tmp_path) == (130, "interrupted\n")


def test_while_modules_are_imported(tmp_path):
    assert interrupted("evaluate", "--help", when=loads("numpy"), folder=tmp_path) == (130, "interrupted\n")


def test_while_workers_start(tmp_path):
    made = tmp_path / "made"
    code, errors = interrupted("example", made, "--workers", 2, when=starts_workers, folder=tmp_path)
    assert (code, errors.splitlines()[-1]) == (130, "interrupted"), errors
    assert "Traceback" not in errors
    assert list(tmp_path.iterdir()) == []
