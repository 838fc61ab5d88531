"""The folder of one run: settings, log, metrics, results, checkpoints."""

import json
import logging
import time
from pathlib import Path
from typing import Any

from tsam_dali.config import Config, ConfigError
from tsam_dali.provenance import provenance


class RunFolder:
    """results_folder/run_id: args.json, log.txt, metrics.jsonl, result.json, curves.png, inputs.png, checkpoints/."""

    def __init__(self, results_folder: str, run_id: str | None):
        self.path = Path(results_folder) / (run_id or time.strftime("%Y-%m-%d_%H-%M-%S_run"))

    def checkpoint(self, name: str) -> Path:
        """`latest`, `unbalanced_best`, `balanced_best` or `epoch_N`."""
        return self.path / "checkpoints" / name

    @property
    def curves(self) -> Path:
        return self.path / "curves.png"

    @property
    def inputs(self) -> Path:
        return self.path / "inputs.png"

    def create(self, config: Config, *, keep: bool, overwrite: bool = False) -> None:
        """Make the folder, write args.json and send the log to log.txt.

        A run that lies there is gone on with (`keep`), replaced (`overwrite`), or else an error.

        Raises:
            ConfigError: another run lies there, or the folder cannot be made.
        """
        if self.checkpoint("latest").exists() and not (keep or overwrite):
            raise ConfigError([f"{self.path}: holds a run already; choose another --run_id, or --resume auto"])
        try:
            self.checkpoint("latest").parent.mkdir(parents=True, exist_ok=True)
            self._write("args.json", config.to_dict() | provenance())
        except OSError as error:
            raise ConfigError([f"{self.path}: cannot be written ({error.strerror}); see results_folder"]) from error
        handler = logging.FileHandler(self.path / "log.txt")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logging.getLogger().addHandler(handler)

    def write_results(self, history: list[dict[str, Any]], best: dict[str, float]) -> None:
        """metrics.jsonl (a line per epoch) and TSAM's result.json (scores 0..1, `unbalanced` is plain accuracy)."""
        lines = "".join(json.dumps(record) + "\n" for record in history)
        (self.path / "metrics.jsonl").write_text(lines)
        scores = {
            record["epoch"]: {
                name: {"balanced": record[part]["balanced_accuracy"], "unbalanced": record[part]["accuracy"]}
                for name, part in (("training", "training"), ("valid", "validation"))
            }
            for record in history
        }
        self._write("result.json", {"best_score": best, "history_score": scores})

    def _write(self, name: str, content: dict[str, Any]) -> None:
        (self.path / name).write_text(json.dumps(content, indent=4) + "\n")
