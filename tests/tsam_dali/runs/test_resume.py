"""Interrupted runs end like uninterrupted ones: real processes, real signals, weights equal to the last bit."""

import json
import os
import shutil
import signal
import subprocess
import time

import pytest
import torch

from tests.helpers.processes import TORCHRUN, called, left_in_shared_memory, run, start
from tsam_dali.train import main
from tsam_dali.weights.checkpoint import load_checkpoint

pytestmark = pytest.mark.timeout(600)  # several starts of the trainer in a test, on a machine that may be busy
STEPS = 12  # of the whole run: 3 epochs of 24 clips in batches of 6
SMALL = (
    *("--set", "training_param.batch_size=6", "--set", "training_param.epochs=3", "--set", "pipeline.workers=1"),
    *("--set", "model.video_segments=2", "--set", "model.audio_segments=0", "--set", "training_param.seed=3"),
    *("--set", "training_param.save_every_steps=1", "--set", "training_param.mixup=0.4"),
    *("--set", "training_param.ema_decay=0.9", "--set", "training_param.log_steps=2"),
    *("--set", "data_augmentation.video_image_param.output_size=32"),
)
NO_WORKER = ("--set", "pipeline.workers=0")  # starting one takes a second; those that are interrupted have one


@pytest.fixture(scope="module")
def command(example, tmp_path_factory):
    """The command line of a run by its name, and the folder of the results."""
    results = tmp_path_factory.mktemp("results")

    def command(name, *arguments, ranks=1):
        launch = (*TORCHRUN, ranks, "-m") if ranks > 1 else ("-m",)
        common = ("--data", example / "data.json", "--set", f"results_folder={results}", "--run_id", name)
        return (*launch, "tsam_dali.train", *common, *SMALL, *arguments)

    command.results = results
    return command


@pytest.fixture(scope="module")
def whole(command):
    """The checkpoint of a run that nothing interrupted."""
    done = called(main, *command("whole")[2:], *NO_WORKER)
    assert done.returncode == 0, done.stderr
    return load_checkpoint(command.results / "whole/checkpoints/latest")


def status(folder):
    try:
        return json.loads((folder / "status.json").read_text())
    except OSError:
        return {"state": "none", "step": -1}


def interrupt(words, folder, step, number, meanwhile=None):
    """Send a signal to a run once it has kept `step` steps; returns its exit code. `meanwhile` is called before, while
    the run stands still."""
    (folder / "status.json").unlink(missing_ok=True)
    process = start(*words, stderr=subprocess.PIPE, text=True)
    ends = time.monotonic() + 120
    while status(folder)["step"] < step and process.poll() is None and time.monotonic() < ends:
        time.sleep(0.005)
    if meanwhile:
        process.send_signal(signal.SIGSTOP)
        meanwhile(process.pid)
    process.send_signal(number)
    _, errors = process.communicate(timeout=120)
    print(errors)  # shown where a test fails
    return process.returncode


def assert_same(state, expected):
    """Everything that is learned is equal to the last bit."""
    for part in ("step", "rate", "scaler"):
        assert state[part] == expected[part], part
    for part in ("model", "ema"):
        for name, tensor in expected[part].items():
            assert torch.equal(state[part][name], tensor), f"{part} {name}"
    moments = (checkpoint["optimizer"]["state"] for checkpoint in (state, expected))
    for found, wanted in zip(*(part.values() for part in moments), strict=True):
        assert found.keys() == wanted.keys()
        assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    for found, wanted in zip(state["history"], expected["history"], strict=True):
        assert found["validation"] == wanted["validation"]
        assert found["training"] == pytest.approx(wanted["training"])


def resume(command, name, here=True, **options):
    """To its end, in this process unless it is asked for one of its own; its checkpoint."""
    words = command(name, "--resume", "auto", **options)
    done = called(main, *words[2:], *NO_WORKER) if here else run(*words)
    assert done.returncode == 0, done.stderr
    return load_checkpoint(command.results / name / "checkpoints/latest")


def test_stopped_twice_in_one_epoch(command, whole):
    folder = command.results / "twice"
    before = left_in_shared_memory()
    for step, number in ((5, signal.SIGTERM), (6, signal.SIGUSR1)):
        code = interrupt(command("twice", "--resume", "auto"), folder, step, number)
        assert code == 75
        assert status(folder)["state"] == "preempted"
        assert status(folder)["step"] == load_checkpoint(folder / "checkpoints/latest")["step"]
        assert number.name in status(folder)["reason"]
        assert not left_in_shared_memory() - before
    assert 6 <= status(folder)["step"] < STEPS
    assert_same(resume(command, "twice"), whole)
    assert status(folder)["state"] == "finished"
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["kind"] == "steps"] == [2, 4, 6, 8, 10, 12]
    assert [line["epoch"] for line in lines if line["kind"] == "epoch"] == [0, 1, 2]


def test_stopped_before_anything_is_imported(command):
    """PyTorch is imported for seconds; a signal waits until the run can say what became of it."""
    process = start(*command("early"), fresh=True, stderr=subprocess.PIPE, text=True)
    ends = time.monotonic() + 60
    while not holds(process.pid, signal.SIGTERM) and time.monotonic() < ends:
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 75, errors
    assert "stopped by SIGTERM; 0 steps are done and saved" in errors
    assert status(command.results / "early")["state"] == "preempted"


def holds(process, number):
    """Whether a signal waits, as Linux says."""
    with open(f"/proc/{process}/status") as lines:
        blocked = next(int(line.split()[1], 16) for line in lines if line.startswith("SigBlk"))
    return bool(blocked >> (number - 1) & 1)


def test_killed(command, whole):
    folder, shared = command.results / "killed", left_in_shared_memory()

    def second(first):
        done = called(main, *command("killed", "--resume", "auto")[2:])
        assert done.returncode == 2, done.stderr
        assert f"process {first} on " in done.stderr
        assert status(folder)["state"] == "running"

    assert interrupt(command("killed"), folder, 6, signal.SIGKILL, second) == -signal.SIGKILL
    before = status(folder)["step"]
    assert_same(resume(command, "killed", here=False), whole)
    assert before >= 6
    assert not left_in_shared_memory() - shared


def test_a_damaged_checkpoint_is_passed_over(command, whole):
    folder = command.results / "damaged"
    shutil.copytree(command.results / "whole", folder, symlinks=True)
    newest = folder / "checkpoints/latest"
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    done = called(main, *command("damaged", "--resume", "auto")[2:], *NO_WORKER)
    assert done.returncode == 0, done.stderr
    assert "step_00000012: damaged" in done.stderr
    assert f"resuming after step {STEPS - 1}" in done.stderr
    assert_same(load_checkpoint(newest), whole)


def test_a_full_disk_leaves_the_checkpoint_before(command, whole, tmp_path):
    """The file size limit makes a save fail half way, as a full disk does."""
    folder = command.results / "full"
    shutil.copytree(command.results / "whole", folder, symlinks=True)
    (folder / "checkpoints/step_00000012").unlink()
    (tmp_path / "limited.py").write_text(
        "import resource, runpy, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000))\n"
        "runpy.run_module('tsam_dali.train', run_name='__main__')\n"
    )
    words = command("full", "--resume", "auto")
    done = run(tmp_path / "limited.py", *words[2:])
    assert done.returncode == 2, done.stderr
    assert "the checkpoint of step 12 cannot be written" in done.stderr
    assert "MB free" in done.stderr
    assert status(folder)["state"] == "failed"
    assert load_checkpoint(folder / "checkpoints/step_00000011")["step"] == 11
    assert not [path for path in (folder / "checkpoints").iterdir() if path.name.startswith(".step")]
    assert_same(resume(command, "full"), whole)


def test_stopped_while_it_starts(command):
    folder = command.results / "start"
    process = start(*command("start"), fresh=True, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if "training clips" in line:
            process.send_signal(signal.SIGTERM)
            break
    process.communicate(timeout=60)
    assert process.returncode == 75
    assert status(folder)["state"] == "preempted"
    assert status(folder)["step"] < STEPS


@pytest.mark.slow
def test_two_ranks_one_killed_one_stopped(command):
    done = run(*command("pair", ranks=2))
    assert done.returncode == 0, done.stderr
    expected = load_checkpoint(command.results / "pair/checkpoints/latest")
    folder = command.results / "pair_stopped"
    interrupt(command("pair_stopped", ranks=2), folder, 5, signal.SIGTERM)
    assert status(folder)["state"] == "preempted"
    options = {"fresh": True, "stderr": subprocess.DEVNULL, "start_new_session": True}  # pgrep looks for their words
    process = start(*command("pair_stopped", "--resume", "auto", ranks=2), **options)
    while status(folder)["step"] < 9 and process.poll() is None:
        time.sleep(0.01)
    found = subprocess.run(["pgrep", "-f", "run_id pair_stopped"], capture_output=True, text=True, check=False)
    ranks = [int(pid) for pid in found.stdout.split() if int(pid) != process.pid]
    os.kill(ranks[-1], signal.SIGKILL)
    assert process.wait(timeout=120) != 0
    time.sleep(1)
    left = subprocess.run(["pgrep", "-f", "run_id pair_stopped"], capture_output=True, text=True, check=False)
    assert not left.stdout
    assert_same(resume(command, "pair_stopped", here=False, ranks=2), expected)


@pytest.mark.slow
def test_three_ranks_stopped(command):
    """From three ranks on, the order in which gradients are added up shows in the last bit."""
    done = run(*command("trio", ranks=3))
    assert done.returncode == 0, done.stderr
    expected = load_checkpoint(command.results / "trio/checkpoints/latest")
    interrupt(command("trio_stopped", ranks=3), command.results / "trio_stopped", 5, signal.SIGTERM)
    assert status(command.results / "trio_stopped")["state"] == "preempted"
    assert_same(resume(command, "trio_stopped", here=False, ranks=3), expected)
