"""Documents that are written from the files of results: Markdown tables, numbers, and whether they are up to date."""

import argparse
import json
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness.results import FOLDER
from pipelines.files.words import counted
from tsam_dali.cli.common import parser


class Results:
    """The files of results in a folder."""

    def __init__(self, folder: Path = FOLDER):
        self.folder = folder

    def load(self, name: str) -> dict[str, Any] | None:
        """The file of a benchmark; None: it has not been measured."""
        path = self.folder / f"{name}.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def median(figure: dict[str, Any], key: str) -> float:
    """A number of a figure, the median where it has quartiles."""
    value = figure[key]
    return value["median"] if isinstance(value, dict) else value


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table; numbers with three digits, None as a dash."""
    lines = [columns, ["---"] * len(columns), *([shown(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


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


def wrapped(block: str) -> str:
    """A paragraph in lines of at most 120 characters; a table as it is."""
    if block.startswith("|"):
        return block
    return textwrap.fill(block, 120, break_long_words=False, break_on_hyphens=False)


def link(name: str) -> str:
    """To the file of results of a benchmark, from the root of the project."""
    return f"[{name}.json](benchmarks/results/{name}.json)"


INSTRUCTION_SETS = {
    "AVX2": ("avx2",),
    "AVX-512": ("avx512_f",),
    "bf16": ("avx512_bf16", "amx_bf16"),
    "AMX": ("amx_bf16", "amx_fp16"),
}
"""Names for a reader, and the entries of `tsam_dali.cli.provenance` that mean them."""


def hardware(results: dict[str, Any]) -> str:
    """The machine of a file of results, in words."""
    machine = results["hardware"]
    gpus = ", ".join(machine["gpus"]) or "no GPU"
    sets = _instructions(machine)
    return f"{machine['cpu']}{f' ({sets})' if sets else ''}, {counted(machine['cores'], 'core')}, {gpus}"


def _instructions(machine: dict[str, Any]) -> str:
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


def write_or_check(program: str, description: str | None, path: Path, wanted: str) -> None:
    """The command of a generated document: writes it, or with --check exits with 1 if it is out of date."""
    command = parser(program, description)
    command.add_argument("--check", action="store_true", help="write nothing; exit with 1 if the file is out of date")
    args: argparse.Namespace = command.parse_args()
    if args.check and (not path.is_file() or path.read_text(encoding="utf-8") != wanted):
        sys.exit(f"{path.name} is not up to date with benchmarks/results: run {program}")
    if not args.check:
        path.write_text(wanted, encoding="utf-8")
