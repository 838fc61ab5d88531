"""Pages that need nothing but themselves: no script, no network. report.html of a run is one."""

import json
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tsam_dali.report import sections as parts
from tsam_dali.report.mistakes import Mistake
from tsam_dali.report.parts import Section, drawn, fill
from tsam_dali.runs.metrics_log import read_records
from tsam_dali.weights.checkpoint import replacing

log = logging.getLogger(__name__)


def page(title: str, sections: Iterable[Section]) -> str:
    """The sections as one HTML page."""
    return str(fill("page.html", title=title, sections=list(sections)))


def write_page(path: Path, title: str, sections: Iterable[Section]) -> None:
    """Write `page` to `path`, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(page(title, sections), encoding="utf-8", errors="backslashreplace")


def write_report(
    folder: Path,
    *,
    class_names: Sequence[str],
    confusion: np.ndarray,
    mistakes: Sequence[Mistake],
    clip_ids: Sequence[str],
    fed: Sequence[parts.FedClip],
    smooth_epochs: float = 0,
) -> None:
    """Write folder/report.html from metrics.jsonl and args.json and from what is given. A failure is a warning.

    Args:
        folder: of the run.
        class_names: C names.
        confusion: of the last validation, (C, C), row = label.
        mistakes: its worst, from `WorstMistakes.gather`.
        clip_ids: the id of each row of the validation list.
        fed: clips of a training batch.
        smooth_epochs: of OptimizerParam, for the learning rate.
    """
    try:
        records = read_records(folder / "metrics.jsonl")
        epochs = [record for record in records if record["kind"] == "epoch"]
        steps = [record for record in records if record["kind"] == "steps"]
        makers = {
            "Last epoch": lambda: parts.numbers_section("Last epoch", _numbers(epochs[-1])),
            "Curves": lambda: parts.curves_section(epochs, smooth_epochs),
            **({"Throughput": lambda: parts.steps_section(steps, smooth_epochs)} if steps else {}),
            "Confusion": lambda: parts.confusion_section(confusion, class_names),
            "Classes": lambda: parts.classes_section(confusion, class_names),
            "What the network saw": lambda: parts.fed_section(fed),
            "Worst mistakes": lambda: parts.mistakes_section(mistakes, class_names, clip_ids),
            "Settings": lambda: parts.settings_section(json.loads((folder / "args.json").read_text())),
        }
        write_page(folder / "report.html", folder.name, [drawn(title, make) for title, make in makers.items()])
    except Exception as error:  # no report is worth a run
        log.warning("%s could not be written (%s: %s)", folder / "report.html", type(error).__name__, error)


def _numbers(epoch: dict[str, Any]) -> list[tuple[str, str]]:
    scores = [
        (f"{split} {name.replace('_', ' ')}", f"{epoch[split][name]:.1%}")
        for split in ("training", "validation")
        for name in ("accuracy", "balanced_accuracy")
    ]
    throughput = [("clips/s", f"{epoch['clips_per_second']:.1f}"), ("waiting for data", f"{epoch['data_wait']:.1%}")]
    return [("epoch", str(epoch["epoch"])), *scores, *throughput]
