"""Runs of the trainer that are killed or stopped, and what they end with. Each is tiny: 24 clips, 12 steps."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.preparation import ROOT, run
from benchmarks.processes import tree
from benchmarks.watching import runs
from tsam_dali.checkpoint import load_checkpoint
from tsam_dali.interruption import EXIT_CODE

STEPS, STEPS_PER_EPOCH = 12, 4
LIMIT_SECONDS = 300
SETTINGS = {
    **{"training_param.batch_size": 6, "training_param.epochs": 3, "training_param.seed": 3},
    **{"training_param.mixup": 0.4, "training_param.ema_decay": 0.9, "training_param.log_steps": 1},
    **{"model.video_segments": 2, "model.audio_segments": 0, "pipeline.workers": 1},
    "data_augmentation.video_image_param.output_size": 32,
}
PHASES = ("start-up", "training", "validation", "saving")


class Runs:
    """A small data set and the runs on it; all lie in `folder`."""

    def __init__(self, folder: Path):
        self.folder = folder
        run(["tools/make_example.py", str(folder / "data"), "--training", "24", "--validation", "9"])
        self.wait(self.start("whole"))
        self.whole = load_checkpoint(folder / "whole/checkpoints/latest")

    def start(self, name: str, *arguments: str, save_every: int = 1) -> subprocess.Popen:
        """Start the trainer; its results lie in folder/name, what it says in folder/name.txt."""
        settings = SETTINGS | {"results_folder": self.folder, "training_param.save_every_steps": save_every}
        words = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
        words += ["--data", str(self.folder / "data/data.json"), "--run_id", name, *arguments]
        with (self.folder / f"{name}.txt").open("a") as log:
            return subprocess.Popen([sys.executable, "-m", "tsam_dali.train", *words], cwd=ROOT, stdout=log, stderr=log)

    def wait(self, trainer: subprocess.Popen) -> None:
        """Until it has ended well."""
        if code := trainer.wait(timeout=LIMIT_SECONDS):
            raise RuntimeError(f"{trainer.args[-1]}: the trainer ended with {code}, see {self.folder}")

    def resume(self, name: str) -> bool:
        """Go on to the end; whether it is the end of the undisturbed run, to the last bit."""
        self.wait(self.start(name, "--resume", "auto"))
        return same(load_checkpoint(self.folder / name / "checkpoints/latest"), self.whole)

    def step_kept(self, name: str) -> int:
        """Steps that the newest checkpoint holds; 0 if there is none."""
        latest = self.folder / name / "checkpoints/latest"
        return load_checkpoint(latest)["step"] if latest.exists() else 0

    def step_done(self, name: str) -> int:
        """Steps that were trained, by the run's own record."""
        path = self.folder / name / "metrics.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return max((json.loads(line)["step"] for line in lines if line.endswith("}")), default=0)

    def saving(self, name: str) -> bool:
        """Whether a checkpoint is being written."""
        return any((self.folder / name / "checkpoints").glob(".step_*"))


def same(state: Any, expected: Any) -> bool:
    """Whether all that is learned is equal: weights, averages, momentum, scores of all validations."""
    parts = [("model",), ("ema",), ("optimizer", "state")]
    return all(_equal(_part(state, path), _part(expected, path)) for path in parts) and [
        record["validation"] for record in state["history"]
    ] == [record["validation"] for record in expected["history"]]


def _part(state: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        state = state[key]
    return state


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    return one == other


def _end(trainer: subprocess.Popen, number: int, ready: Callable[[], bool], delay: float) -> tuple[int, int]:
    """Send a signal once `ready`, `delay` seconds later; the exit code, and how many of its processes are left."""
    ends = time.monotonic() + LIMIT_SECONDS
    while not ready() and trainer.poll() is None and time.monotonic() < ends:
        time.sleep(0.002)
    time.sleep(delay)
    family = tree(trainer.pid)
    trainer.send_signal(number)
    code = trainer.wait(timeout=LIMIT_SECONDS)
    ends = time.monotonic() + 5
    while (left := sum(map(runs, family))) and time.monotonic() < ends:
        time.sleep(0.05)
    return code, left


def kill(given: Runs, number: int) -> dict[str, Any]:
    """Kill a run by SIGKILL at a random moment after a random step, and go on."""
    rng, name = np.random.default_rng([1, number]), f"killed_{number}"
    step, delay = int(rng.integers(STEPS)), float(rng.uniform(0, 0.3))
    trainer = given.start(name, save_every=int(rng.integers(1, 4)))
    code, left = _end(trainer, signal.SIGKILL, lambda: given.step_done(name) >= step, delay)
    found = {"step": given.step_done(name), "exit_code": code, "processes_left": left}
    return found | {"identical": given.resume(name)}


def stop(given: Runs, number: int) -> dict[str, Any]:
    """Stop a run by SIGTERM in one of its phases, and go on."""
    rng, name, phase = np.random.default_rng([2, number]), f"stopped_{number}", PHASES[number % len(PHASES)]
    step, delay = int(rng.integers(1, STEPS - 1)), 0.0
    if phase == "start-up":
        said = given.folder / f"{name}.txt"  # before, the signal ends a process that has not done anything yet
        ready, delay = (lambda: "training clips" in said.read_text()), float(rng.uniform(0, 1))
    elif phase == "training":
        ready, delay = (lambda: given.step_done(name) >= step), float(rng.uniform(0, 0.05))
    elif phase == "validation":
        step = STEPS_PER_EPOCH * int(rng.integers(1, 3))
        ready = lambda: given.step_done(name) >= step and not given.saving(name)  # noqa: E731
    else:
        ready = lambda: given.step_done(name) >= step and given.saving(name)  # noqa: E731
    trainer = given.start(name)
    code, left = _end(trainer, signal.SIGTERM, ready, delay)
    status_file = given.folder / name / "status.json"
    state = json.loads(status_file.read_text())["state"] if status_file.exists() else "none"
    lost = given.step_done(name) - given.step_kept(name)
    found = {"phase": phase, "exit_code": code, "expected_exit_code": EXIT_CODE, "state": state, "steps_lost": lost}
    return found | {"step": given.step_kept(name), "processes_left": left, "identical": given.resume(name)}
