"""Signals that ask a run to stop: at once while it starts, where it is whole afterwards."""

import os
import signal

import pytest

from pipelines.processes import STOPPING
from tsam_dali.interruption import Interrupted, StopRequest


@pytest.fixture
def stop():
    before = {number: signal.getsignal(number) for number in STOPPING}
    yield StopRequest().install()
    for number, action in before.items():
        signal.signal(number, action)


@pytest.mark.parametrize("number", STOPPING)
def test_a_run_that_starts_stops_at_once(stop, number):
    with pytest.raises(Interrupted, match=number.name):
        os.kill(os.getpid(), number)
    assert stop.by == number.name


@pytest.mark.parametrize("number", STOPPING)
def test_a_run_that_trains_only_takes_note(stop, number):
    stop.defer()
    os.kill(os.getpid(), number)
    assert stop.by == number.name


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_second_signal_does_not_break_off_what_the_first_one_set_going(stop, number):
    with pytest.raises(Interrupted, match="SIGTERM"):
        os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), number)
    assert stop.by == number.name


def test_a_second_ctrl_c_ends_the_process(stop):
    stop.defer()
    os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
