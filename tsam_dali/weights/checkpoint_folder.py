"""The checkpoints of a run: when they are written, which are kept, which one is resumed."""

import logging
import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipelines.files.atomic import temporary_path
from tsam_dali.config.sections import TrainingParam
from tsam_dali.weights.checkpoint import (
    CheckpointError,
    copy_checkpoint,
    delete_checkpoint,
    load_checkpoint,
    save_checkpoint,
)

log = logging.getLogger(__name__)
FAILURES_IN_A_ROW = 3  # saves within an epoch that may fail, e.g. on a full disk, before training stops


class CheckpointFolder:
    """`step_N` after N steps, the newest few of them; `latest` points to the newest; `NAME_best`, `epoch_N` stay.

    Args:
        path: folder; made with the first checkpoint.
        options: how often and how many.
    """

    def __init__(self, path: Path, options: TrainingParam):
        self.path = path
        self._options = options
        self._last_save = time.monotonic()
        self._failures = 0
        self._has_latest = True

    def due(self, step: int) -> bool:
        """Whether a checkpoint inside the epoch is due after `step` steps. By the clock of this process."""
        steps, minutes = self._options.save_every_steps, self._options.save_every_minutes
        late = bool(minutes) and time.monotonic() - self._last_save >= 60 * minutes
        return late or (bool(steps) and step % steps == 0)

    def begin(self, state: dict[str, Any] | None) -> None:
        """Make `state`, which the run resumes, the newest checkpoint; without it, delete all `step_N`.

        Incomplete files of killed processes are deleted as well. `NAME_best` and `epoch_N` are kept.
        """
        for path in self.path.glob(".unfinished.*"):
            path.unlink(missing_ok=True)
        if state is None:
            for path in self._steps():
                delete_checkpoint(path)
        elif self._steps()[:1] != [self._file(state["step"])]:
            if self.newest_step > state["step"]:
                log.info("checkpoints after step %d are deleted, training continues from it", state["step"])
            self.try_save(state, last=True)

    def save(self, state: dict[str, Any]) -> None:
        """Write step_N, point `latest` to it, delete checkpoints that are too old or of later steps."""
        newest = self._file(state["step"])
        save_checkpoint(newest, state)
        self._point_to(newest.name)
        self._last_save = time.monotonic()
        self._failures = 0
        steps = self._steps()
        place = steps.index(newest)
        for other in (*steps[:place], *steps[place + self._options.keep_checkpoints :]):
            delete_checkpoint(other)

    def try_save(self, state: dict[str, Any], last: bool = False) -> bool:
        """As `save`, but a full or missing disk is a warning; returns whether it worked.

        Raises:
            CheckpointError: the third time in a row, or if there will be no other attempt (`last`).
        """
        try:
            self.save(state)
        except (OSError, RuntimeError) as error:  # torch raises RuntimeError when it cannot write on
            self._failures += 1
            self._last_save = time.monotonic()
            free = f"{shutil.disk_usage(self.path).free / 1e6:.0f} MB free" if self.path.is_dir() else "no such folder"
            reason = f"{str(error).splitlines()[0]}; {free}"
            message = f"the checkpoint of step {state['step']} cannot be written to {self.path} ({reason})"
            if last or self._failures == FAILURES_IN_A_ROW:
                raise CheckpointError(f"{message}; the one before is valid: --resume auto continues from it") from error
            log.warning("%s; the one before is kept", message)
            return False
        return True

    def keep_as(self, step: int, names: Iterable[str]) -> None:
        """Keep step_N under these names as well; a failure is a warning."""
        for name in names:
            try:
                copy_checkpoint(self._file(step), self.path / name)
            except OSError as error:
                log.warning("%s cannot be written (%s); the earlier file is kept", self.path / name, error)

    def step_of(self, name: str) -> int:
        """Steps done at the checkpoint of a name; -1 if there is no valid one."""
        try:
            return load_checkpoint(self.path / name, digest_needed=True)["step"]
        except CheckpointError:
            return -1

    @property
    def newest_step(self) -> int:
        """Steps done at the newest checkpoint, by its name."""
        return max((int(path.name.removeprefix("step_")) for path in self._steps()), default=0)

    def newest_valid(self) -> dict[str, Any]:
        """The newest valid checkpoint; damaged ones are logged.

        Raises:
            CheckpointError: there is none.
        """
        for path in self._steps():
            try:
                return load_checkpoint(path, digest_needed=True)
            except CheckpointError as error:
                log.warning("%s; the checkpoint before it is used", error)
        raise CheckpointError(f"{self.path}: no checkpoint to resume")

    def __bool__(self) -> bool:
        """Whether there is a checkpoint to resume, valid or not."""
        return bool(self._steps())

    def _steps(self) -> list[Path]:
        """The newest first."""
        return sorted(self.path.glob("step_" + 8 * "[0-9]"), reverse=True)

    def _file(self, step: int) -> Path:
        return self.path / f"step_{step:08d}"

    def _point_to(self, target: str) -> None:
        """Make the symbolic link `latest` point to `target`, atomically.

        It is for people only: a file system without symbolic links is one warning.
        """
        try:
            with temporary_path(self.path / "latest") as temporary:
                temporary.symlink_to(target)
                os.replace(temporary, self.path / "latest")
        except OSError as error:
            if self._has_latest:
                log.warning(
                    "%s cannot be written (%s); the newest step_N is valid", self.path / "latest", error.strerror
                )
            self._has_latest = False
