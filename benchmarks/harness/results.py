"""What a benchmark leaves: a table on the screen, one JSON file, one plot beside it."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tsam_dali.cli.provenance import provenance

FOLDER = Path(__file__).resolve().parent.parent / "results"


def origin() -> dict[str, Any]:
    """Where the figures come from; to be taken before measuring, so that the load is that of others."""
    return {**provenance(), "load_before": [round(load, 2) for load in os.getloadavg()]}


def write_results(
    path: Path, benchmark: str, method: Mapping[str, Any], figures: Sequence[Mapping[str, Any]], origin: Mapping
) -> None:
    """Write the JSON file: what was measured, how, the figures, and their origin."""
    path.parent.mkdir(parents=True, exist_ok=True)
    results = {"benchmark": benchmark, "method": method, "figures": figures, **origin}
    path.write_text(json.dumps(results, indent=4, ensure_ascii=False) + "\n", encoding="utf-8")


class FigureFile:
    """A file of results that is written anew with each figure, so that a run that is ended early leaves what it has.

    A figure that could not be taken, or is not what it should be, says so under `failed`.
    """

    def __init__(self, path: Path, benchmark: str, method: Mapping[str, Any], origin: Mapping):
        self._path, self._benchmark, self._method, self._origin = path, benchmark, method, origin
        self.figures: list[Mapping[str, Any]] = []

    def add(self, figure: Mapping[str, Any]) -> None:
        """Print a figure and write it, its numbers to four digits."""
        rounded = {key: float(f"{x:.4g}") if isinstance(x, float) else x for key, x in figure.items()}
        self.figures.append(rounded)
        print(json.dumps(rounded, ensure_ascii=False), flush=True)
        write_results(self._path, self._benchmark, self._method, self.figures, self._origin)

    def verdict(self) -> int:
        """The exit code: 1, and a line that counts them, if figures failed."""
        failed = sum("failed" in figure for figure in self.figures)
        if failed:
            print(f"failed: {failed} of {len(self.figures)} figures, see {self._path}")
        return int(failed > 0)


def print_figures(figures: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> None:
    """Print a row for each figure: its values of these keys; of quartiles the median, with the others behind it."""
    rows = [[_cell(figure.get(key)) for key in keys] for figure in figures]
    print_table([key.replace("_", " ") for key in keys], rows)


def _cell(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    median, low, high = (_shown(value[key]) for key in ("median", "q1", "q3"))
    return f"{median} ({low}–{high})"


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows below their headings; text to the left, numbers to the right."""
    cells = [list(columns), *([_shown(value) for value in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    right = [all(isinstance(row[i], int | float | None) for row in rows) for i in range(len(columns))]
    for number, row in enumerate(cells):
        print("  ".join(cell.rjust(n) if r else cell.ljust(n) for cell, n, r in zip(row, widths, right, strict=True)))
        if number == 0:
            print("  ".join("-" * width for width in widths))


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) < 100 else f"{value:.1f}"
    return str(value)
