"""The folder of one run: settings, status, log, results, checkpoints."""

import json
import logging
import os
import platform
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from logging.handlers import MemoryHandler
from pathlib import Path
from typing import Any, Self

from pipelines.files.atomic import replacing
from pipelines.files.records import lock
from tsam_dali.cli.common import is_main, new_folder
from tsam_dali.cli.provenance import provenance
from tsam_dali.config.load import Config, ConfigError
from tsam_dali.runs.signals import Interrupted
from tsam_dali.weights.checkpoint_folder import CheckpointFolder

log = logging.getLogger(__name__)


class RunFolder:
    """results_folder/run_id: args.json, status.json, log.txt, result.json, report.html, checkpoints/ and plots.

    Without a `run_id` it is named by date and time when `create` makes it, so that no two runs share one.

    As a context manager it buffers the log until `create` makes a file for it, and releases the folder at the end.

    Raises:
        ConfigError: `run_id` is not a folder inside results_folder.
    """

    def __init__(self, config: Config, run_id: str | None):
        name = Path(run_id or time.strftime("%Y-%m-%d_%H-%M-%S_run"))
        if name.is_absolute() or ".." in name.parts or not name.parts:
            raise ConfigError([f"--run_id {run_id}: expected the name of a folder inside results_folder"])
        self._is_new = not run_id
        self._options = config.training_param
        self._set_path(Path(config.results_folder) / name)
        self.step = self.checkpoints.newest_step  # steps that are done and saved
        self._log = MemoryHandler(capacity=1)  # passes every record on as soon as it has a target
        self._begun = False  # whether this process has changed the run in this folder
        self._open = ExitStack()

    def _set_path(self, path: Path) -> None:
        self.path = path
        self.checkpoints = CheckpointFolder(path / "checkpoints", self._options)

    def _claim(self) -> None:
        """Make a folder named by date and time, next to that of another run that started in the same second."""
        if self._is_new:
            self._set_path(new_folder(self.path))
            self._is_new = False

    def __enter__(self) -> Self:
        if is_main():
            there = next(path for path in (self.path, *self.path.absolute().parents) if path.exists())
            if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
                raise ConfigError(
                    [f"{self.path}: cannot be made, as {there} is not a folder to write to; see results_folder"]
                )
            root = logging.getLogger()
            root.addHandler(self._log)
            self._open.callback(root.removeHandler, self._log)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def curves(self) -> Path:
        return self.path / "curves.png"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def inputs(self) -> Path:
        return self.path / "inputs.png"

    def create(
        self,
        config: Config,
        state: dict[str, Any] | None,
        overwrite: bool = False,
        num_class: int | None = None,
        choice: dict[str, Any] | None = None,
    ) -> None:
        """Make the folder, keep other processes out of it, write args.json and send the log to log.txt.

        `num_class` is written into the section `model` of args.json, as in TSAM; `choice`, from
        `choose_decode`, as `decode`.

        A run that is in the folder is resumed from the checkpoint `state`, or replaced with `overwrite`.

        Raises:
            ConfigError: the folder holds another run or is in use by a process, or it cannot be made.
            CheckpointError: there is no space for the checkpoint.
        """
        if self.checkpoints and not (state or overwrite or self._is_new):
            raise ConfigError([f"{self.path}: holds a run already; choose another --run_id, or add --resume auto"])
        try:
            self._claim()
            self.checkpoints.path.mkdir(parents=True, exist_ok=True)
            self._lock()
            self._begun = True
            self.checkpoints.begin(state)
            settings = config.to_dict()
            settings["model"]["num_class"] = num_class
            self._write("args.json", settings | ({"decode": choice} if choice else {}) | provenance())
            file = logging.FileHandler(self.path / "log.txt", encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise ConfigError([f"{self.path}: cannot be written ({error.strerror}); see results_folder"]) from error
        self._open.callback(file.close)
        file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        self._log.setTarget(file)
        self._log.flush()

    def _lock(self) -> None:
        """Hold a lock that the system releases whenever this process ends; children never have it."""
        file = self._open.enter_context((self.path / "run.lock").open("a+b"))  # NFS locks only what is open for writing
        if not lock(file):
            file.seek(0)
            who = file.read().decode(errors="replace") or "another process"
            raise ConfigError([f"{self.path}: {who} is training in it; wait until it ends, or choose another --run_id"])
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}".encode())
        file.flush()

    @contextmanager
    def reported(self) -> Iterator[None]:
        """Write to status.json if the work inside is stopped or fails.

        A run that fails before it has a folder leaves none; one that fails before it has started keeps the status of an
        earlier start.
        """
        try:
            yield
        except Interrupted as stop:
            self.write_status("preempted", str(stop))
            raise
        except KeyboardInterrupt:
            before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # people press it until something happens
            self.write_status("preempted", f"a second Ctrl-C; the steps after {self.step} are not saved")
            signal.signal(signal.SIGINT, before)
            raise
        except Exception as error:
            is_there = self.path.is_dir() and not self._is_new  # a folder of a new name belongs to another run
            if self._begun or (is_there and not (self.path / "status.json").exists()):
                self.write_status("failed", str(error))
            raise

    def write_status(self, state: str, reason: str = "") -> None:
        """Write status.json on rank 0: `state` is "running", "preempted" (stopped by a signal; continue with --resume
        auto), "finished" or "failed"; `step` is the number of steps that are done and saved."""
        if not is_main():
            return
        place = {"host": platform.node(), "process": os.getpid(), "time": time.strftime("%Y-%m-%d %H:%M:%S %z")}
        try:
            self._claim()
            self._write("status.json", {"state": state, "step": self.step, "reason": reason} | place)
        except OSError as error:  # such as a full disk; it must not end the run
            log.warning("%s cannot be written: %s", self.path / "status.json", error)

    def write_results(
        self,
        history: list[dict[str, Any]],
        best: dict[str, float],
        class_names: Sequence[str],
        scores_of: Mapping[str, str],
    ) -> None:
        """TSAM's result.json (scores 0..1, `unbalanced` is plain accuracy) and the names of the classes.

        `scores_of` are the names of the scores there and their keys in the records; a training for labels or numbers
        has none.
        """
        scores = {
            record["epoch"]: {
                name: {key: record[part][score] for key, score in scores_of.items() if score in record[part]}
                for name, part in (("training", "training"), ("valid", "validation"))
            }
            for record in history
        }
        self._write("result.json", {"best_score": best, "history_score": scores, "class_names": list(class_names)})

    def _write(self, name: str, content: dict[str, Any]) -> None:
        with replacing(self.path / name) as temporary:
            temporary.write_text(json.dumps(content, indent=4) + "\n")
