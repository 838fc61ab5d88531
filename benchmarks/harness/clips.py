"""The clips that are measured: folders that the user names, or clips made for the purpose."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from pipelines.files.errors import InputError
from pipelines.files.formats import DEMUXERS
from tools.synthetic.realistic import make_clips
from tsam_dali.cli.common import positive
from tsam_dali.config import load_config

CACHE = Path(__file__).resolve().parent.parent / "clips"
MADE = "made"
"""Label of the clips made by tools/synthetic/realistic.py."""


def add_clip_arguments(command: argparse.ArgumentParser, names: Sequence[str] = ("--videos", "--data")) -> None:
    """--videos (or --data), --clips and --seconds, for `clip_groups`."""
    add = command.add_argument
    help_videos = "videos to measure: a folder, or the JSON file of a data set; LABEL names them in the results "
    help_videos += "(default: clips that are made first)"
    add(*names, metavar="[LABEL=]FOLDER", nargs="+", default=[], help=help_videos)
    help_clips = "number of clips to make, or to take of each folder (default: 6, or all of a folder)"
    add("--clips", type=positive, metavar="N", help=help_clips)
    add("--seconds", type=float, default=10, help="length of the clips to make (default: %(default)g)")


def all_clips(args: argparse.Namespace) -> list[Path]:
    """The videos of all groups."""
    return [path for paths in clip_groups(args).values() for path in paths]


def clip_groups(args: argparse.Namespace) -> dict[str, list[Path]]:
    """The videos of each group, by label.

    Raises:
        InputError: naming the folders without videos, and labels that occur twice.
    """
    if not args.videos:
        return {MADE: make_clips(CACHE, args.clips or 6, seconds=args.seconds)}
    groups, problems = {}, []
    for word in args.videos:
        label, _, name = word.rpartition("=")
        folder = Path(name) if not name.endswith(".json") else Path(load_config(name, name).dataset.videos)
        label = label or folder.name
        if label in groups:
            problems.append(f"--videos {word}: there is a folder with the label {label} already; give it another one")
        groups[label] = sorted(path for path in folder.rglob("*") if path.suffix in DEMUXERS)[: args.clips]
        if not groups[label]:
            problems.append(f"--videos {word}: no video with one of the endings {' '.join(DEMUXERS)}")
    if problems:
        raise InputError(problems)
    return groups
