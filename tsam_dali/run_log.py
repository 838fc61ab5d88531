"""metrics.jsonl: what a run found, a line for some steps of training and one for each epoch."""

import json
import os
from pathlib import Path
from typing import Any


class RunLog:
    """Adds lines to metrics.jsonl in a run's folder; each says its `kind` and the `step` it was written after.

    `steps`: epoch, loss, lr, clips_per_second, data_wait (share of the time), gradient_norm, memory_mb (peak).
    `epoch`: epoch, training and validation (loss, accuracies, samples), lr, clips_per_second, data_wait.

    Args:
        folder: of the run.
        step: where the run begins or goes on; lines from beyond it, of steps that are done again, are dropped.
    """

    def __init__(self, folder: Path, step: int):
        self._path = folder / "metrics.jsonl"
        lines = self._path.read_text().splitlines() if step and self._path.is_file() else []
        kept = [line for line in lines if _step(line) <= step]
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        temporary.write_text("".join(f"{line}\n" for line in kept))
        os.replace(temporary, self._path)

    def add(self, kind: str, record: dict[str, Any]) -> None:
        """Write a line."""
        with self._path.open("a") as file:
            file.write(json.dumps({"kind": kind, **record}) + "\n")


def _step(line: str) -> float:
    """The step of a line; infinite for one that was cut off when its run was killed."""
    try:
        return json.loads(line)["step"]
    except ValueError:
        return float("inf")
