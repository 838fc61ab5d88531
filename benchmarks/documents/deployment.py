"""The tables of docs/deploying.md."""

from benchmarks.harness.markdown import Load, grouped, median, table


def deployment_scores(load: Load) -> str:
    """What eight bits cost in accuracy, and what they save on disk."""
    rows = []
    for one in grouped(load("deployment"), "kind")["scores"]:
        scores = (f"{100 * one[key]:.1f}" if key in one else None for key in ("float", "int8"))
        size = (one.get("megabytes"), one.get("megabytes_int8"))
        rows.append((one["network"], one["arch"], one.get("score", "refused"), one.get("clips"), *scores, *size))
    headings = "network | backbone | score | clips | float, % | int8, % | MB | MB, int8"
    return table(headings, [tuple(str(value) if isinstance(value, int) else value for value in row) for row in rows])


def deployment_speed(load: Load) -> str:
    """What a clip costs by each way to run a network."""
    keys = ("wall_ms", "cpu_ms", "cpu_relative")
    rows = [
        (one["network"], one["way"], *(median(one, key) for key in keys))
        for one in grouped(load("deployment"), "kind")["speed"]
    ]
    return table("network | run by | wall, ms | CPU, ms | CPU, PyTorch = 1", rows)
