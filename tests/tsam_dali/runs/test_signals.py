"""Signals that ask a run to stop: at once while it starts, where it is whole afterwards."""

import json
import os
import signal
import subprocess
import time

import pytest

from pipelines.parallel.processes import STOPPING
from tests.helpers.processes import start
from tsam_dali.runs.signals import Interrupted, StopRequest


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


LONG_STEP = (
    *("model.arch=resnet50", "model.video_segments=8", "model.audio_segments=0", "training_param.amp=off"),
    *("data_augmentation.video_image_param.output_size=224", "training_param.batch_size=24", "pipeline.workers=1"),
    "training_param.accumulate=24",  # torch lets a signal in after each part
)


def test_a_second_ctrl_c_ends_a_long_step_and_is_told(example, tmp_path):
    settings = (word for change in (*LONG_STEP, f"results_folder={tmp_path}") for word in ("--set", change))
    words = ("-m", "tsam_dali.train", "--data", example / "data.json", "--run_id", "run", *settings)
    process = start(*words, stderr=subprocess.PIPE, text=True)
    file = tmp_path / "run/status.json"
    while not file.exists() and process.poll() is None:
        time.sleep(0.05)
    for seconds in (3, 1):
        time.sleep(seconds)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=240)
    status = json.loads(file.read_text())
    assert status["state"] == "preempted", errors
    assert status["reason"] == "a second Ctrl-C; the steps after 0 are not saved"
    assert "ended by a second Ctrl-C; 0 steps are done and saved, continue with --resume auto" in errors
    assert "Traceback" not in errors
    assert process.returncode == 128 + signal.SIGINT
