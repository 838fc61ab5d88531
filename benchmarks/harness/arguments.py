"""Options that several benchmarks share, each declared once."""

import argparse

from tsam_dali.cli.common import positive

MEANINGS = {
    "rounds": "rounds to measure",
    "segments": "frames of each clip; beside them there is one segment of audio",
    "batch_size": "clips in a batch",
    "batches": "batches to measure in each round",
    "cores": "cores of all processes of a variant, and its loader processes",
    "threads": "threads of each variant",
    "workers": "loader processes, or processes that prepare",
    "repeats": "ids under which each clip is listed, so that an epoch is long enough",
    "pixels": "height and width of the pictures",
    "epochs": "passes over the data",
    "steps": "steps of training to measure in each round",
}


def add_numbers(command: argparse.ArgumentParser, **defaults: int | list[int]) -> None:
    """Add options of `MEANINGS`, each a whole number from 1 with its default, or several where that is a list."""
    for name, default in defaults.items():
        several = isinstance(default, list)
        shown = " ".join(map(str, default)) if several else default
        command.add_argument(
            f"--{name}",
            type=positive,
            nargs="+" if several else None,
            default=default,
            metavar="N",
            help=f"{MEANINGS[name]} (default: {shown})",
        )
