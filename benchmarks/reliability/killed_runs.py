"""Runs of the trainer that are killed or stopped, and what they end with. Each is tiny: 24 clips, 12 steps."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.harness.preparation import ROOT, run
from benchmarks.harness.processes import tree
from benchmarks.reliability.process_monitor import runs
from tsam_dali.weights.checkpoint import load_checkpoint

STEPS = 12
LIMIT_SECONDS = 900
SETTINGS = {
    **{"training_param.batch_size": 6, "training_param.epochs": 3, "training_param.seed": 3},
    **{"training_param.mixup": 0.4, "training_param.ema_decay": 0.9, "training_param.log_steps": 1},
    **{"training_param.save_every_steps": 0, "training_param.save_every_minutes": 0},  # at the end of each epoch alone
    **{"model.video_segments": 2, "model.audio_segments": 0, "pipeline.workers": 1},
    "data_augmentation.video_image_param.output_size": 32,
}
CALLS = {"start-up": 1, "training": STEPS - 1, "validation": 3, "saving": 2}  # a stop comes in one of so many
STOPS = {  # signal -> phase, and ranks of the command that gets it
    "SIGTERM": [(phase, ranks) for ranks in (1, 1, 2) for phase in CALLS],
    "SIGUSR1": [("training", 1), ("validation", 1), ("saving", 1)],
}
TRAINER = ("-m", "tsam_dali.train")
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--shutdown_timeout", "280", "--nproc_per_node")


class Runs:
    """A small data set and the runs on it; all lie in `folder`."""

    def __init__(self, folder: Path):
        self.folder = folder
        run(["tools/make_example.py", str(folder / "data"), "--training", "24", "--validation", "9"])
        self._whole: dict[int, Any] = {}

    def whole(self, ranks: int = 1) -> Any:
        """The last checkpoint of a run that nothing disturbs; it is trained when first asked for."""
        if ranks not in self._whole:
            self._whole[ranks] = self.finish(f"whole_{ranks}", ranks=ranks)
        return self._whole[ranks]

    def start(
        self,
        name: str,
        *arguments: str,
        ranks: int = 1,
        settings: Mapping[str, Any] | None = None,
        program: Sequence[str] = TRAINER,
    ) -> subprocess.Popen:
        """Start the trainer; its results lie in folder/name, what it says in folder/name.txt."""
        launch = (*TORCHRUN, str(ranks)) if ranks > 1 else ()
        every = {**SETTINGS, "results_folder": self.folder, **(settings or {})}
        words = [word for key, value in every.items() for word in ("--set", f"{key}={value}")]
        words = [*program, "--data", str(self.folder / "data/data.json"), *words, "--run_id", name]
        with (self.folder / f"{name}.txt").open("a") as log:
            return subprocess.Popen([sys.executable, *launch, *words, *arguments], cwd=ROOT, stdout=log, stderr=log)

    def finish(self, name: str, *arguments: str, **options: Any) -> Any:
        """Run the trainer to its end; the last checkpoint."""
        self.wait(self.start(name, *arguments, **options))
        return load_checkpoint(self.folder / name / "checkpoints/latest")

    def wait(self, trainer: subprocess.Popen) -> None:
        """Until it has ended well."""
        if code := _exit_code(trainer):
            raise RuntimeError(f"{trainer.args!r}: the trainer ended with {code}, see {self.folder}")

    def resume(self, name: str, ranks: int = 1) -> bool:
        """Go on to the end; whether it is the end of the undisturbed run, to the last bit."""
        return same(self.finish(name, "--resume", "auto", ranks=ranks), self.whole(ranks))

    def step_kept(self, name: str) -> int:
        """Steps that the newest checkpoint holds; 0 if there is none."""
        latest = self.folder / name / "checkpoints/latest"
        return load_checkpoint(latest)["step"] if latest.exists() else 0

    def step_done(self, name: str) -> int:
        """Steps that were trained, by the run's own record."""
        path = self.folder / name / "metrics.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return max((json.loads(line)["step"] for line in lines if line.endswith("}")), default=0)


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


def _end(
    trainer: subprocess.Popen, number: int, ready: Callable[[], bool], delay: float = 0.0, rank: int | None = None
) -> tuple[int, int]:
    """Send a signal to the command, or to one rank of it, once `ready`, `delay` seconds later; the exit code, and how
    many of its processes are left."""
    ends = time.monotonic() + LIMIT_SECONDS
    while not ready() and trainer.poll() is None and time.monotonic() < ends:
        time.sleep(0.002)
    time.sleep(delay)
    family = tree(trainer.pid)
    trainer.send_signal(number) if rank is None else os.kill(_ranks(family)[rank], number)
    code = _exit_code(trainer)
    ends = time.monotonic() + 5
    while (left := sum(map(runs, family))) and time.monotonic() < ends:
        time.sleep(0.05)
    return code, left


def _exit_code(trainer: subprocess.Popen) -> int:
    """Of a trainer when it has ended; one that does not is killed."""
    try:
        return trainer.wait(timeout=LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        for pid in tree(trainer.pid):
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(pid, signal.SIGKILL)
        trainer.wait()
        raise


def _ranks(family: Sequence[int]) -> list[int]:
    """The trainers among the processes of a torchrun command."""
    words = {pid: Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") for pid in family[1:]}
    return [pid for pid, command in words.items() if b"tsam_dali.train" in command]


def kill(given: Runs, number: int) -> dict[str, Any]:
    """Kill a run by SIGKILL at a random moment after a random step, and go on; every fifth is one rank of two."""
    rng, name, ranks = np.random.default_rng([1, number]), f"killed_{number}", 2 if number % 5 == 4 else 1
    step, delay, every = int(rng.integers(STEPS)), float(rng.uniform(0, 0.3)), int(rng.integers(1, 4))
    trainer = given.start(name, ranks=ranks, settings={"training_param.save_every_steps": every})
    rank = int(rng.integers(ranks)) if ranks > 1 else None
    code, left = _end(trainer, signal.SIGKILL, lambda: given.step_done(name) >= step, delay, rank)
    lost = given.step_done(name) - given.step_kept(name)
    found = {"ranks": ranks, "step": given.step_done(name), "steps_lost": lost, "exit_code": code}
    return found | {"most_lost": every, "processes_left": left, "identical": given.resume(name, ranks)}


def stop(given: Runs, sent: str, number: int) -> dict[str, Any]:
    """Stop a run by a signal in one of its phases, as STOPS says, and go on.

    Nothing but the stop itself saves inside an epoch, so what it leaves out is lost. The trainer waits in the phase for
    the signal; how many steps it has trained is in its metrics.jsonl.
    """
    rng, name, (phase, ranks) = np.random.default_rng([2, number]), f"{sent}_{number}", STOPS[sent][number]
    call, held = int(rng.integers(CALLS[phase])) + 1, given.folder / f"{name}.held"
    program = ("-m", "benchmarks.reliability.held_trainer", phase, str(call), str(held))
    trainer = given.start(name, ranks=ranks, program=program)
    code, left = _end(trainer, signal.Signals[sent], held.exists)
    status_file = given.folder / name / "status.json"
    state = json.loads(status_file.read_text())["state"] if status_file.exists() else "none"
    done, kept = given.step_done(name), given.step_kept(name)
    found = {"phase": phase, "in_phase": held.exists(), "ranks": ranks, "exit_code": code, "state": state}
    found |= {"step": done, "steps_lost": abs(done - kept), "processes_left": left}
    return found | {"identical": given.resume(name, ranks)}
