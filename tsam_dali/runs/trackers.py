"""TensorBoard, Weights & Biases and MLflow. None can stop a run: the first error of a tracker is a warning, after which
it is not used any more; one that hangs is abandoned a few seconds after the end of the run."""

import logging
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from tsam_dali.config.load import Config

log = logging.getLogger(__name__)
PROJECT = "tsam_dali"  # of runs whose data set has no name
MOST_WAITING = 10_000  # calls in the queue of a tracker; more are lost
CLOSE_SECONDS = 20  # for all of them when a run ends; clusters often kill after 30


class Tracker(Protocol):
    """Receives the metrics of a run."""

    def scalars(self, values: dict[str, float], step: int) -> None: ...

    def image(self, name: str, path: Path, step: int) -> None: ...

    def close(self) -> None: ...


class Guarded:
    """A tracker in a thread of its own; its first error is a warning, and nothing more is sent."""

    def __init__(self, name: str, start: Callable[[], Tracker]):
        self._name = name
        self._calls: queue.Queue[tuple[Any, ...]] = queue.Queue(MOST_WAITING)
        self._thread = threading.Thread(target=self._serve, args=(start,), daemon=True)
        self._thread.start()

    def scalars(self, values: dict[str, float], step: int) -> None:
        self._send("scalars", values, step)

    def image(self, name: str, path: Path, step: int) -> None:
        self._send("image", name, path, step)

    def close(self) -> None:
        self._send("close")

    def wait(self, ends: float) -> None:
        """Wait until it is closed, at most until the time `ends` of the monotonic clock."""
        self._thread.join(max(0, ends - time.monotonic()))
        if self._thread.is_alive():
            log.warning("%s does not respond, what it has not received yet is lost", self._name)

    def _send(self, *call: Any) -> None:
        with suppress(queue.Full):
            self._calls.put_nowait(call)

    def _serve(self, start: Callable[[], Tracker]) -> None:
        try:
            tracker = start()
            name = ""
            while name != "close":
                name, *arguments = self._calls.get()
                getattr(tracker, name)(*arguments)
        except ImportError as error:
            log.warning("%s is not installed, nothing is sent to it (%s)", self._name, error)
        except Exception as error:
            log.warning("%s failed, nothing more is sent to it (%s: %s)", self._name, type(error).__name__, error)


class TensorBoard:
    """Event files in folder/tensorboard; events beyond `first_step` of an earlier start are hidden."""

    def __init__(self, folder: Path, first_step: int):
        self._folder, self._first_step = folder / "tensorboard", first_step

    @cached_property
    def _writer(self) -> Any:
        """Made with the first event: to import it takes half a second, which the first batch need not wait for."""
        from torch.utils.tensorboard import SummaryWriter

        # TensorBoard hides this step too; the last one done stays.
        purge = self._first_step + 1 if self._first_step else None
        return SummaryWriter(str(self._folder), purge_step=purge)

    def scalars(self, values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def image(self, name: str, path: Path, step: int) -> None:
        import numpy as np
        from PIL import Image

        with Image.open(path) as image:
            self._writer.add_image(name, np.asarray(image.convert("RGB")), step, dataformats="HWC")

    def close(self) -> None:
        self._writer.close()


class WeightsAndBiases:
    """A run of W&B with the name of the folder; its environment variables set the destination (WANDB_MODE=offline)."""

    def __init__(self, folder: Path, config: Config):
        import wandb

        self._wandb = wandb
        options = {"project": config.dataset.name or PROJECT, "id": folder.name, "name": folder.name, "resume": "allow"}
        self._run = wandb.init(dir=str(folder), config=config.to_dict(), **options)

    def scalars(self, values: dict[str, float], step: int) -> None:
        self._run.log(values, step=step)

    def image(self, name: str, path: Path, step: int) -> None:
        self._run.log({name: self._wandb.Image(str(path))}, step=step)

    def close(self) -> None:
        self._run.finish()


class MLflow:
    """A run of MLflow with the name of the folder; MLFLOW_TRACKING_URI sets the server, default: mlflow.db and
    mlflow_files in the folder. Its id is kept there for resumed runs."""

    def __init__(self, folder: Path, config: Config):
        import os

        import mlflow

        self._mlflow = mlflow
        experiment = config.dataset.name or PROJECT
        if "MLFLOW_TRACKING_URI" not in os.environ:
            mlflow.set_tracking_uri(f"sqlite:///{folder.resolve() / 'mlflow.db'}")
            if mlflow.get_experiment_by_name(experiment) is None:
                files = (folder.resolve() / "mlflow_files").as_uri()  # default: the working directory
                mlflow.create_experiment(experiment, artifact_location=files)
        mlflow.set_experiment(experiment)
        kept = folder / "mlflow_run_id.txt"
        run = mlflow.start_run(kept.read_text() if kept.exists() else None, run_name=folder.name)
        kept.write_text(run.info.run_id)
        mlflow.log_dict(config.to_dict(), "settings.json")

    def scalars(self, values: dict[str, float], step: int) -> None:
        self._mlflow.log_metrics(values, step=step)

    def image(self, name: str, path: Path, step: int) -> None:
        self._mlflow.log_artifact(str(path), f"{name}/{step}")

    def close(self) -> None:
        self._mlflow.end_run()


def close_trackers(trackers: list[Guarded]) -> None:
    """Send what is left, to all of them at the same time."""
    for tracker in trackers:
        tracker.close()
    ends = time.monotonic() + CLOSE_SECONDS
    for tracker in trackers:
        tracker.wait(ends)


def start_trackers(folder: Path, first_step: int, config: Config) -> list[Guarded]:
    """TensorBoard and those that `training_param.trackers` names."""
    starts: dict[str, Callable[[], Tracker]] = {
        "wandb": lambda: WeightsAndBiases(folder, config),
        "mlflow": lambda: MLflow(folder, config),
    }
    others = [Guarded(name, starts[name]) for name in config.training_param.trackers]
    return [Guarded("tensorboard", lambda: TensorBoard(folder, first_step)), *others]
