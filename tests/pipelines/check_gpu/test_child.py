"""A child process with a time limit leaves nothing behind."""

import os
import subprocess
import sys
import time

import pytest

from pipelines.check_gpu.child import Failed, LimitedChild
from tests.helpers.processes import ROOT

pytestmark = pytest.mark.usefixtures("no_process_is_left")


def pid_of(announce):
    announce("naming itself")
    return os.getpid()


def sleep(announce):
    announce(f"sleeping in {os.getpid()}")
    time.sleep(1000)


def fail(announce):
    raise ValueError("first line\nsecond line")


def exit_with_3(announce):
    os._exit(3)


def test_one_process_until_it_fails():
    with LimitedChild(200) as child:
        first = child.run(pid_of, 60)
        assert child.run(pid_of, 60) == first != os.getpid()
        assert child.run(fail, 60) == Failed("ValueError: first line")
        second = child.run(pid_of, 60)
        assert child.run(exit_with_3, 60) == Failed("the process was ended by exit status 3")
        third = child.run(pid_of, 60)
        assert len({first, second, third}) == 3


def test_an_interrupted_check():
    def check():
        with LimitedChild(200) as child:
            assert child.run(sleep, 0.5).time_over
            child.run(pid_of, 60)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check()


def test_a_killed_program_takes_it_along():
    lines = (
        "from pipelines.check_gpu.child import LimitedChild; from tests.pipelines.check_gpu.test_child import *",
        "with LimitedChild(200) as child: print(child.run(pid_of, 60), flush=True); child.run(sleep, 100)",
    )
    program = subprocess.Popen([sys.executable, "-c", "\n".join(lines)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    with program:
        child = int(program.stdout.readline())
        os.kill(child, 0)
        program.kill()
    ends = time.monotonic() + 30
    while os.path.exists(f"/proc/{child}") and time.monotonic() < ends:
        time.sleep(0.1)
    assert not os.path.exists(f"/proc/{child}")
