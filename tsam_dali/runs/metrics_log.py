"""What a run says of itself while it runs: metrics.jsonl, TensorBoard and the trackers that the settings name."""

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
        path: the run's folder; metrics.jsonl and tensorboard/ lie in it.
        first_step: steps that are done already. Records beyond them are those of steps that are trained again; they go.
        config: the settings; `training_param.trackers` names the trackers.
        trackers: those to tell; default: TensorBoard and what the settings name.
    """

    def __init__(self, path: Path, *, first_step: int, config: Config, trackers: list[Guarded] | None = None):
        metrics = path / "metrics.jsonl"
        keep_records(metrics, first_step)
        self._file = metrics.open("ab", buffering=0)
        self._trackers = start_trackers(path, first_step, config) if trackers is None else trackers
        self._step = first_step

    def steps(self, record: dict[str, Any]) -> None:
        """A window: step (done so far), epoch, loss, lr, clips_per_second, data_wait, gradient_norm, memory_mb."""
        self._write("steps", record)

    def epoch(self, record: dict[str, Any]) -> None:
        """An epoch: epoch, step, training and validation (loss and accuracies), lr, clips_per_second, data_wait."""
        self._write("epoch", record)

    def catch_up(self, history: list[dict[str, Any]]) -> None:
        """Write the epochs of a checkpoint's history that are missing: its run was killed before it came to that."""
        known = {record["epoch"] for record in read_records(Path(self._file.name)) if record["kind"] == "epoch"}
        for record in history:
            if record["epoch"] not in known and "step" in record:
                self.epoch(record)

    def picture(self, name: str, path: Path) -> None:
        """Show a PNG file to the trackers."""
        for tracker in self._trackers:
            tracker.picture(name, path, self._step)

    def close(self) -> None:
        self._file.close()
        close_trackers(self._trackers)

    def _write(self, kind: str, record: dict[str, Any]) -> None:
        self._step = record["step"]
        try:
            # Straight to the file: what a buffer cannot get rid of would be tried again, and fail again, in `close`.
            line = json.dumps(_finite({"kind": kind, **record}), allow_nan=False) + "\n"
            self._file.write(line.encode())
        except OSError as error:  # such as a full disk; a run is worth more than its log
            log.warning("step %d is missing in %s: %s", record["step"], self._file.name, error)
        scalars = {f"{kind}/{name}": value for name, value in _flat(record).items() if name not in ("step", "epoch")}
        for tracker in self._trackers:
            tracker.scalars(scalars, self._step)


def read_records(metrics: Path) -> list[dict[str, Any]]:
    """The records of metrics.jsonl; a line that a killed process left unfinished is passed over."""
    records = []
    for line in metrics.read_text(encoding="utf-8").splitlines() if metrics.is_file() else ():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return records


def keep_records(metrics: Path, last_step: int) -> None:
    """Drop the records beyond a step; the file changes whole or not at all."""
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
    """NaN and infinity, which JSON does not know, as None; a gradient under fp16 scaling may be infinite."""
    if isinstance(value, dict):
        return {name: _finite(member) for name, member in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
