"""The tables of docs/benchmarks.md about decoders."""

from collections import defaultdict
from typing import Any

from benchmarks.baselines.decoders import OURS
from benchmarks.harness.markdown import Figure, Load, grouped, median, table

FILES = {"raw": "video", "copies": "training copy"}


def decode(load: Load) -> str:
    """Decoding alone."""
    return table("file | frames | here | best other | which | times ours", decoders(load))


def decoders(load: Load) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    found: defaultdict[tuple[str, str], dict[str, Figure]] = defaultdict(dict)
    for figure in grouped(load("decode"), "rule")["validation"]:
        found[FILES[figure["clips"]], str(figure["segments"])][figure["decoder"]] = figure
    for key, by_name in found.items():
        ours = by_name.pop(OURS)
        best = min(by_name.values(), key=lambda figure: median(figure, "cpu_relative_to_ours"))
        costs = (median(ours, "cpu_ms_per_clip"), median(best, "cpu_ms_per_clip"))
        rows.append((*key, *costs, best["decoder"], median(best, "cpu_relative_to_ours")))
    return rows


def several_cores(load: Load) -> str:
    """Decoding on several cores: ours, and of each way to use the cores the fastest other decoder."""
    found: defaultdict[tuple[str, int, int], list[Figure]] = defaultdict(list)
    for figure in grouped(load("decode"), "kind")["several cores"]:
        ours = figure["decoder"] == OURS
        found[FILES[figure["clips"]], figure["processes"], 0 if ours else figure["threads"]].append(figure)
    rows = []
    for (file, processes, _), figures in found.items():
        best = max(figures, key=lambda figure: median(figure, "clips_per_second"))
        numbers = (median(best, key) for key in ("clips_per_second", "speed_relative_to_ours"))
        rows.append((file, best["decoder"], str(processes), str(best["threads"]), *numbers))
    return table("file | decoder | processes | threads of each | clips/s | ours = 1", rows)
