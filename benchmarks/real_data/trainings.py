"""One training of a variant on a set, by the trainer's command; what was trained with the same settings is kept."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.harness.preparation import ROOT
from benchmarks.real_data.sets import RealSet
from benchmarks.real_data.variants import WHOLE, Variant
from tools.demo import accuracies


class Training(NamedTuple):
    """A variant trained on a set from one seed."""

    real_set: RealSet
    variant: Variant
    seed: int
    changes: Sequence[str] = ()  # of any recipe, for --set

    @property
    def run_id(self) -> str:
        return f"{self.real_set.name}_{self.variant.name.replace(' ', '_')}_{self.seed}"

    def settings(self, weights: Path, work: Path) -> list[str]:
        """For --set."""
        chosen = (f"model.weights={weights}", f"training_param.seed={self.seed}", f"results_folder={work / 'runs'}")
        return [*self.variant.settings(self.real_set.kind), *self.changes, *chosen]


def kept(training: Training, weights: Path, work: Path) -> dict[str, Any] | None:
    """The figure of an earlier training with the same settings."""
    path = _figure(training, work)
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found["figure"] if found.get("settings") == training.settings(weights, work) else None


def trained(training: Training, weights: Path, work: Path) -> dict[str, Any]:
    """The figure of a training: that of an earlier one with the same settings, or of a new one."""
    if earlier := kept(training, weights, work):
        return earlier
    settings, path = training.settings(weights, work), _figure(training, work)
    figure = _train(training, settings, work)
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"settings": settings, "figure": figure}) + "\n", encoding="utf-8")
    return figure


def _figure(training: Training, work: Path) -> Path:
    return work / "figures" / f"{training.run_id}.json"


def _train(training: Training, settings: Sequence[str], work: Path) -> dict[str, Any]:
    folder = work / "runs" / training.run_id
    shutil.rmtree(folder, ignore_errors=True)
    words = [word for setting in settings for word in ("--set", setting)]
    config: list[str | Path] = ["--data", training.real_set.data, "--config", empty_config(work), *words]
    log = folder.with_suffix(".log")
    seconds, cpu = _run(["tsam_dali.train", *config, "--run_id", folder.name], log)
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    of_training = [record["training"]["accuracy"] for record in records if record["kind"] == "epoch"]
    history = accuracies(folder)
    figure = {
        **{"kind": "training", "set": training.real_set.name, "of": training.real_set.kind},
        **{"variant": training.variant.name, "seed": training.seed},
        **{"accuracy": history[-1], "best_accuracy": max(history), "training_accuracy": of_training[-1]},
        **{"seconds": round(seconds, 1), "cpu_seconds": round(cpu, 1), "accuracies": history},
    }
    if training.variant.name == WHOLE:
        figure["confusion"] = _confusion(folder, log)
    shutil.rmtree(folder / "checkpoints")
    return figure


def _confusion(folder: Path, log: Path) -> list[list[int]]:
    """Validation clips by label (rows) and prediction (columns), after the last epoch."""
    scores = folder / "evaluation"
    checkpoint = folder / "checkpoints" / "latest"  # with the data of the training: videos or copies
    _run(["tsam_dali.evaluate", "--checkpoint", checkpoint, "--output", scores, "--protocol", "centre"], log)
    lines = map(json.loads, (scores / "predictions.jsonl").read_text(encoding="utf-8").splitlines())
    pairs = [(line["label"], line["prediction"]) for line in lines]
    matrix = np.zeros((max(map(max, pairs)) + 1,) * 2, int)
    for label, prediction in pairs:
        matrix[label, prediction] += 1
    return matrix.tolist()


def empty_config(work: Path) -> Path:
    """A file of settings that names none: all come from the command line."""
    path = work / "config.json"
    path.write_text("{}\n")
    return path


def _run(command: Sequence[str | Path], log: Path) -> tuple[float, float]:
    """Run `python -m ...` on one thread; wall and CPU seconds.

    Raises:
        ValueError: it failed.
    """
    begin, environment = time.perf_counter(), os.environ | {"OMP_NUM_THREADS": "1"}
    log.parent.mkdir(exist_ok=True)
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], cwd=ROOT, env=environment, stdout=file, stderr=file
        )
        _, status, used = os.wait4(process.pid, 0)
    if status:
        said = log.read_text(encoding="utf-8", errors="replace")[-2000:]
        raise ValueError(f"{' '.join(map(str, command))} failed:\n{said}")
    return time.perf_counter() - begin, used.ru_utime + used.ru_stime
