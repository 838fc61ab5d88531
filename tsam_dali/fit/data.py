"""The data of a fit: lists from what is given, and what the files hold."""

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pipelines.dataset.clips import Clip, Dataset
from pipelines.dataset.list_file import SPLITS, listed_ids, read_lists
from pipelines.dataset.load import load_data
from pipelines.dataset.video_index import index_videos
from pipelines.files.words import counted
from pipelines.parallel.processes import cores
from tsam_dali.config.load import load_config
from tsam_dali.config.shipped import FOLDER
from tsam_dali.fit.steps import Steps

FEW_CLIPS = FOLDER / "few_clips_config.json"
HELD_OUT = 5
"""One of so many clips is for validation where no list says which."""


class Data(NamedTuple):
    """What there is to learn from."""

    path: Path  # of the data file
    clips: Mapping[str, Sequence[Clip]]  # that can be read, of each split
    num_class: int
    dataset: Dataset
    audio: bool  # whether it is used
    pieces: bool  # of files, not whole files
    left_out: float  # the larger share of clips that cannot be read, of the two lists


def lists_of(args: argparse.Namespace, out: Path, steps: Steps) -> Path:
    """The data file: the given one, that of an earlier start, or a new one with new lists."""
    source: Path = args.source
    if source.suffix == ".json" and _has_dataset(source):
        steps.decide(f"lists: those of {source}")
        return source
    folder = out / "data"
    data = folder / "fold_1" / "data.json" if args.group else folder / "data.json"
    if data.is_file():
        steps.decide(f"lists: those of the first start, {data}")
        return data
    words = [source, *filter(None, [args.validation])]
    tsam = [source / f"{split}.txt" for split in SPLITS]
    if all(map(Path.is_file, tsam)):
        words = [*tsam, "--videos", source / "videos"]
    for name in ("videos", "format", "classes"):
        if given := getattr(args, name):
            words += [f"--{name}", given]
    if args.group:
        words += ["--folds", HELD_OUT, "--group", args.group]
        steps.decide(f"lists: one of {HELD_OUT} folds is held out for validation, no {args.group!r} is on both sides")
    elif len(words) > 1 and not str(words[1]).startswith("--"):
        steps.decide("lists: those that are given, for training and for validation")
    else:
        steps.decide(f"lists: a fifth of each class is held out for validation, where {source} does not say which")
    # 1: files whose names no list can hold were left out, and named.
    steps.run("cli.tools.make_lists", *words, "--out", folder, "--name", source.absolute().stem, allowed=(0, 1))
    return data


def _has_dataset(path: Path) -> bool:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False  # make_lists says what is wrong
    return isinstance(content, dict) and "dataset" in content


def look_at(path: Path, steps: Steps) -> Data:
    """Index the files, and see which clips can be used.

    Raises:
        ValueError: there is nothing to learn.
    """
    config = load_config(path, FEW_CLIPS, ["pipeline.max_bad_fraction=1"])
    lists = read_lists(config.dataset)
    _check_classes(path, set(lists["training"].labels), config.dataset)
    steps.run("cli.tools.index_videos", "--data", path)
    loaded = load_data(config, SPLITS)
    steps.check()
    shares = [len(loaded.left_out[split]) / len(lists[split]) for split in SPLITS]
    if max(shares) > 0.5:
        raise ValueError(f"{path}: more than half of the clips of a list cannot be read, see above")
    _check_classes(path, {clip.label for clip in loaded.clips["training"]}, config.dataset)
    files = index_videos(config.dataset, listed_ids(config.dataset), cores(), again=())
    audible = [record.get("audio_rate", 0) > 0 for record in files.values() if record["status"] == "ok"]
    wav = config.dataset.audios.is_dir()
    audio = wav or sum(audible) > len(audible) / 2
    number = {split: len(members) for split, members in loaded.clips.items()}
    steps.decide(
        f"clips: {number['training']} for training, {number['validation']} for validation, "
        f"{counted(sum(map(len, loaded.left_out.values())), 'clip')} left out as they cannot be read"
    )
    what = f"there is {config.dataset.audios}" if wav else f"{sum(audible)} of {counted(len(audible), 'video')} have it"
    steps.decide(f"audio: {'used' if audio else 'not used'}, {what}")
    pieces = any(entries.ends for entries in lists.values())
    left_out = math.ceil(100 * max(shares)) / 100
    return Data(path, loaded.clips, loaded.num_class, config.dataset, audio, pieces, left_out)


def _check_classes(path: Path, labels: set[int], dataset: Dataset) -> None:
    if dataset.task == "classes" and len(labels) < 2:
        known = f" ({dataset.class_names[min(labels)]})" if labels and dataset.class_names else ""
        raise ValueError(f"{path}: all training clips are of one class{known}: there is nothing to learn")
