"""The clips that are measured: folders that the user names, or clips made for the purpose."""

import argparse
from pathlib import Path

from pipelines.clips import InputError
from pipelines.media_files import DEMUXERS
from tools.make_realistic_clips import make_clips

CACHE = Path(__file__).resolve().parent / "clips"
MADE = "made"
"""Label of the clips made by tools/make_realistic_clips.py."""


def add_clip_arguments(command: argparse.ArgumentParser) -> None:
    """--videos, --clips and --seconds, for `clip_groups`."""
    add = command.add_argument
    help_videos = "folder of videos to measure; LABEL names it in the results (default: clips that are made first)"
    add("--videos", metavar="[LABEL=]FOLDER", nargs="+", default=[], help=help_videos)
    add("--clips", type=int, default=6, help="number of clips to make, without --videos (default: %(default)s)")
    add("--seconds", type=float, default=10, help="length of the clips to make (default: %(default)g)")


def clip_groups(args: argparse.Namespace) -> dict[str, list[Path]]:
    """The videos of each group, by label.

    Raises:
        InputError: naming the folders without videos, and labels that occur twice.
    """
    if not args.videos:
        return {MADE: make_clips(CACHE, args.clips, seconds=args.seconds)}
    groups, problems = {}, []
    for word in args.videos:
        label, _, folder = word.rpartition("=")
        label = label or Path(folder).name
        if label in groups:
            problems.append(f"--videos {word}: there is a folder with the label {label} already; give it another one")
        groups[label] = sorted(path for path in Path(folder).rglob("*") if path.suffix in DEMUXERS)
        if not groups[label]:
            problems.append(f"--videos {word}: no video with one of the endings {' '.join(DEMUXERS)}")
    if problems:
        raise InputError(problems)
    return groups
