"""The scores of the folds of a cross-validation: of each, their mean and their spread."""

import json
import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tsam_dali.runs.metrics_log import read_records


def scores(folder: Path) -> dict[str, float]:
    """The scores of a finished run: the number of clips, what was measured after the last epoch, the best epoch's."""
    *_, last = (record for record in read_records(folder / "metrics.jsonl") if record["kind"] == "epoch")
    measured = {name: value for name, value in last["validation"].items() if isinstance(value, int | float)}
    best = json.loads((folder / "result.json").read_text())["best_score"]
    return {"clips": measured.pop("samples"), **measured, **{f"best {name}": value for name, value in best.items()}}


def summary(folders: Mapping[str, Path]) -> dict[str, Any]:
    """Scores of each fold, their means and standard deviations (n - 1): of at least two runs by their names."""
    folds = {name: scores(folder) for name, folder in folders.items()}
    columns = {name: [fold[name] for fold in folds.values()] for name in next(iter(folds.values())) if name != "clips"}
    return {
        "folds": folds,
        "mean": {name: statistics.fmean(values) for name, values in columns.items()},
        "spread": {name: statistics.stdev(values) for name, values in columns.items()},
    }


def table(found: Mapping[str, Any]) -> Iterator[str]:
    """The lines of what `summary` gives."""
    rows = {**found["folds"], "mean": found["mean"], "spread": found["spread"]}
    names = list(next(iter(found["folds"].values())))
    texts = [["", *(name.replace("_", " ") for name in names)]]
    for title, values in rows.items():
        numbers = [values.get(name, "") for name in names]
        texts.append([title, *(f"{number:.3f}" if isinstance(number, float) else str(number) for number in numbers)])
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for first, *others in texts:
        cells = (text.rjust(width) for text, width in zip(others, widths[1:], strict=True))
        yield "  ".join((first.ljust(widths[0]), *cells))
