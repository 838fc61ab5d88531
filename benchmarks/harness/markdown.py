"""Numbers of the files of results, and Markdown tables of them."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipelines.files.words import counted

Figure = Mapping[str, Any]
Load = Callable[[str], Figure]
"""From the name of a benchmark to its file of results."""


def median(figure: Figure, key: str) -> Any:
    """A number of a figure, the median where it has quartiles."""
    value = figure[key]
    return value["median"] if isinstance(value, dict) else value


def medians(of: Mapping[str, Figure], key: str) -> dict[str, Any]:
    """The same number of several figures."""
    return {name: median(figure, key) for name, figure in of.items()}


def named(results: Figure, key: str) -> dict[str, Figure]:
    """The figures that have this key, by its value."""
    return {figure[key]: figure for figure in results["figures"] if key in figure}


def grouped(results: Figure, key: str) -> dict[Any, list[Figure]]:
    """All figures, by the value of a key."""
    found = defaultdict(list)
    for figure in results["figures"]:
        found[figure.get(key)].append(figure)
    return found


def total(runs: Sequence[Figure], key: str) -> int:
    """A sum over runs; one that failed has no figures."""
    return sum(run.get(key, 0) for run in runs)


def table(headings: str, rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table; headings parted by ` | `, numbers with three digits, None as a dash."""
    cells = [[shown(value) for value in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in ([headings], ["---"] * len(headings.split(" | ")), *cells))


def shown(value: Any) -> str:
    """A number with three digits and thousands apart, or text as it is."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    if abs(value) >= 100:
        digits = len(str(int(abs(value))))
        return f"{round(value, 3 - digits):,.0f}".replace(",", " ")
    return f"{value:.3g}"


INSTRUCTION_SETS = {
    "AVX2": ("avx2",),
    "AVX-512": ("avx512_f",),
    "bf16": ("avx512_bf16", "amx_bf16"),
    "AMX": ("amx_bf16", "amx_fp16"),
}
"""Names for a reader, and the entries of `tsam_dali.cli.provenance` that mean them."""


def hardware(results: Figure) -> str:
    """The machine of a file of results, in words."""
    machine = results["hardware"]
    gpus = ", ".join(machine["gpus"]) or "no GPU"
    sets = _instructions(machine)
    return f"{machine['cpu']}{f' ({sets})' if sets else ''}, {counted(machine['cores'], 'core')}, {gpus}"


def _instructions(machine: Figure) -> str:
    """The instruction sets of a CPU, and what was used where that is less; empty for a file that does not say."""
    has = machine.get("instructions", [])
    sets = ", ".join(name for name, any_of in INSTRUCTION_SETS.items() if any(one in has for one in any_of))
    used = machine.get("instructions_used", {"torch": "", "onednn_limit": ""})
    limits = []
    if "avx512_f" in has and used["torch"] not in ("", "AVX512"):
        limits.append(f"PyTorch used {used['torch']}")
    if used["onednn_limit"] not in ("", "ALL", "DEFAULT"):
        limits.append(f"oneDNN at most {used['onednn_limit']}")
    return "; ".join([sets, *limits])
