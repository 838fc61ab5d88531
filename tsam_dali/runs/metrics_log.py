"""The metrics of a run: metrics.jsonl, TensorBoard and the trackers that the settings name."""

import json
import logging
import math
from pathlib import Path
from typing import Any

from pipelines.files.atomic import replacing
from tsam_dali.config.load import Config
from tsam_dali.runs.trackers import Guarded, close_trackers, start_trackers

log = logging.getLogger(__name__)


class RunLog:
    """The log of one run, on rank 0.

    Args:
        path: the run's folder, for metrics.jsonl and tensorboard/.
        first_step: steps that are done already. Later records are deleted: their steps are trained again.
        config: the settings; `training_param.trackers` names the trackers.
        trackers: where metrics are sent; default: TensorBoard and what the settings name.
    """

    def __init__(self, path: Path, *, first_step: int, config: Config, trackers: list[Guarded] | None = None):
        metrics = path / "metrics.jsonl"
        keep_records(metrics, first_step)
        self._file = metrics.open("ab", buffering=0)
        self._trackers = start_trackers(path, first_step, config) if trackers is None else trackers
        self._step = first_step

    def steps(self, record: dict[str, Any]) -> None:
        """Log some steps: step (the last), epoch, loss, lr, clips_per_second, data_wait, gradient_norm, memory_mb."""
        self._write("steps", record)

    def epoch(self, record: dict[str, Any]) -> None:
        """Log an epoch: epoch, step, training and validation (loss and accuracies), lr, clips_per_second, data_wait."""
        self._write("epoch", record)

    def catch_up(self, history: list[dict[str, Any]]) -> None:
        """Write the epochs of a checkpoint's history that are missing: its run was killed before it wrote them."""
        known = {record["epoch"] for record in read_records(Path(self._file.name)) if record["kind"] == "epoch"}
        for record in history:
            if record["epoch"] not in known and "step" in record:
                self.epoch(record)

    def image(self, name: str, path: Path) -> None:
        """Send a PNG file to the trackers."""
        for tracker in self._trackers:
            tracker.image(name, path, self._step)

    def close(self) -> None:
        self._file.close()
        close_trackers(self._trackers)

    def _write(self, kind: str, record: dict[str, Any]) -> None:
        self._step = record["step"]
        try:
            # Unbuffered: data that a buffer cannot write would be tried again, and fail again, in `close`.
            line = json.dumps(_finite({"kind": kind, **record}), allow_nan=False) + "\n"
            self._file.write(line.encode())
        except OSError as error:  # such as a full disk; it must not end the run
            log.warning("step %d is missing in %s: %s", record["step"], self._file.name, error)
        scalars = {f"{kind}/{name}": value for name, value in _flat(record).items() if name not in ("step", "epoch")}
        for tracker in self._trackers:
            tracker.scalars(scalars, self._step)


def read_records(metrics: Path) -> list[dict[str, Any]]:
    """The records of metrics.jsonl; a line that a killed process left incomplete is skipped."""
    records = []
    for line in metrics.read_text(encoding="utf-8").splitlines() if metrics.is_file() else ():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return records


def keep_records(metrics: Path, last_step: int) -> None:
    """Drop the records after a step; the file is replaced atomically."""
    kept = [record for record in read_records(metrics) if record["step"] <= last_step]
    with replacing(metrics) as temporary:
        temporary.write_text("".join(json.dumps(record) + "\n" for record in kept), encoding="utf-8")


def _flat(record: dict[str, Any], prefix: str = "") -> dict[str, float]:
    flat: dict[str, float] = {}
    for name, value in record.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}/")
        elif isinstance(value, int | float):
            flat[prefix + name] = value
    return flat


def _finite(value: Any) -> Any:
    """NaN and infinity, which JSON does not have, become None; a gradient under fp16 scaling may be infinite."""
    if isinstance(value, dict):
        return {name: _finite(member) for name, member in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
