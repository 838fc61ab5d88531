"""Options that several benchmarks share, each declared once."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness.results import FOLDER
from tsam_dali.cli.common import parser, positive

MEANINGS = {
    "rounds": "rounds to measure",
    "segments": "frames of each clip, or of each prediction",
    "batch_size": "clips in a batch",
    "batches": "batches to measure in each round",
    "cores": "cores of all processes of a variant, and its loader processes",
    "threads": "threads of each variant",
    "workers": "loader processes, or processes that prepare or read files",
    "repeats": "ids under which each clip is listed, so that an epoch is long enough",
    "pixels": "height and width of the frames",
    "epochs": "passes over the data",
    "steps": "steps of training to measure in each round",
    "frames": "frames to measure in each round",
    "clips": "clips to measure in each round",
    "draws": "draws of frames for each clip and round",
    "minutes": "length of the long files",
    "sizes": "clips in the lists",
    "batch_sizes": "batches whose memory is measured, with 2 prepared ahead",
    "prefetch": "batches prepared ahead whose memory is measured, with the smallest batch",
}


def benchmark_parser(name: str, description: str | None, **numbers: int | list[int]) -> argparse.ArgumentParser:
    """The parser of `python -m benchmarks.NAME`.

    Args:
        name: the module.
        description: its docstring.
        numbers: options of `MEANINGS`, each a whole number from 1, or several where the default is a list.
    """
    command = parser(f"python -m benchmarks.{name}", description)
    for option, default in numbers.items():
        shown = " ".join(map(str, default)) if isinstance(default, list) else default
        command.add_argument(
            f"--{option}",
            type=positive,
            nargs="+" if isinstance(default, list) else None,
            default=default,
            metavar="N",
            help=f"{MEANINGS[option]} (default: {shown})",
        )
    file = f"{name.rpartition('.')[2]}.json"
    help_output = f"JSON file to write; plots lie beside it (default: benchmarks/results/{file})"
    command.add_argument("--output", metavar="FILE", type=Path, default=FOLDER / file, help=help_output)
    return command


def add_arch(command: argparse.ArgumentParser, default: str) -> None:
    """--arch, the network."""
    command.add_argument("--arch", default=default, help="backbone, a timm name (default: %(default)s)")


def add_device(command: argparse.ArgumentParser) -> None:
    """--device, cpu or cuda."""
    import torch  # takes seconds: not for benchmarks of loading

    kind = "cuda" if torch.cuda.is_available() else "cpu"
    help_device = "cpu or cuda (default: cuda if there is one)"
    command.add_argument("--device", choices=("cpu", "cuda"), default=kind, help=help_device)


def add_seed(command: argparse.ArgumentParser) -> None:
    """--seed of what is drawn."""
    command.add_argument("--seed", type=int, default=0, help="of the training frames (default: %(default)s)")


def values_of(args: argparse.Namespace, names: Sequence[str]) -> dict[str, Any]:
    """Arguments as they were given, for the method in the file of results."""
    return {name: getattr(args, name) for name in names}
