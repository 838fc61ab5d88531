"""Lists, index and log-mel store of a data set -> its clips; every problem is reported before anything starts."""

import logging
import os
from collections import Counter
from collections.abc import Sequence
from typing import Any

from pipelines.clips import Clip, Dataset, Entry, InputError, ListError, check_labels, read_list
from pipelines.index import Record, index_videos
from pipelines.mel_store import MelStore

log = logging.getLogger(__name__)

SPLITS = ("training", "validation")


class DataError(InputError):
    """Data that cannot be trained on."""


def load_clips(config: Any) -> dict[str, list[Clip]]:
    """The clips of both splits, {"training": [...], "validation": [...]}, in the order of the lists.

    Videos that cannot be opened are left out with a warning; if a list holds more of them than
    pipeline.max_bad_fraction, that is an error. So is anything else that is wrong with the data.

    Args:
        config: the settings (`tsam_dali.config.Config`).

    Raises:
        DataError: with every problem found.
    """
    dataset = config.dataset
    problems = _folder_problems(dataset)
    if problems:
        raise DataError(problems)
    lists = {}
    for split in SPLITS:
        try:
            lists[split] = read_list(dataset.list_file(split))
        except ListError as error:
            problems += error.problems
    if problems:
        raise DataError(problems)
    problems += check_labels(lists["training"], lists["validation"], dataset.class_names)
    _warn_of_leaks(lists)
    ids = list(dict.fromkeys(entry.id for split in SPLITS for entry in lists[split]))
    try:
        records = index_videos(dataset, ids, workers=len(os.sched_getaffinity(0)))
    except ListError as error:
        raise DataError([*problems, *_shortened(error.problems)]) from None
    clips = {}
    for split in SPLITS:
        problems += _unreadable(split, lists[split], records, config.pipeline.max_bad_fraction)
        clips[split] = [
            _clip(dataset, entry, records[entry.id]) for entry in lists[split] if records[entry.id]["status"] == "ok"
        ]
    if config.model.audio_segments:
        problems += _attach_sound(config, clips)
    if problems:
        raise DataError(problems)
    return clips


def num_classes(clips: dict[str, list[Clip]]) -> int:
    """Number of classes, from the training list."""
    return max(clip.label for clip in clips["training"]) + 1


def _folder_problems(dataset: Dataset) -> list[str]:
    if not dataset.root.is_dir():
        return [
            f"dataset.data_dir: {dataset.data_dir!r} is no folder (relative paths start at the working directory, "
            f"{os.getcwd()})"
        ]
    problems = []
    if not dataset.videos.is_dir():
        problems.append(f"dataset.dir_videos: {str(dataset.videos)!r} is no folder")
    for split in SPLITS:
        if not dataset.list_file(split).is_file():
            problems.append(f"dataset: the {split} list {str(dataset.list_file(split))!r} does not exist")
    return problems


def _warn_of_leaks(lists: dict[str, list[Entry]]) -> None:
    both = {entry.id for entry in lists["training"]} & {entry.id for entry in lists["validation"]}
    if both:
        log.warning("%d clips stand in both lists, for example %s: validation will flatter", len(both), min(both))


def _unreadable(split: str, entries: list[Entry], records: dict[str, Record], max_fraction: float) -> list[str]:
    """Reports the videos of a list that cannot be opened; problems if there are more than `max_fraction`."""
    bad = [records[entry.id] for entry in entries if records[entry.id]["status"] != "ok"]
    if not bad:
        return []
    summary = ", ".join(f"{count} {status}" for status, count in Counter(record["status"] for record in bad).items())
    reasons = _shortened([record["reason"] for record in bad])
    if len(bad) > max_fraction * len(entries) or len(bad) == len(entries):
        share = f"{len(bad)} of {len(entries)} videos of the {split} list cannot be opened ({summary}), more than"
        return [f"{share} pipeline.max_bad_fraction={max_fraction:g} allows", *reasons]
    log.warning("%d of %d videos of the %s list are left out (%s)", len(bad), len(entries), split, summary)
    for reason in reasons:
        log.warning("left out: %s", reason)
    return []


def _clip(dataset: Dataset, entry: Entry, record: Record) -> Clip:
    return Clip(
        id=entry.id,
        label=entry.label,
        path=str(dataset.root / record["file"]),
        frames=record["frames"],
        height=record["height"],
        width=record["width"],
        sound=False,
    )


def _attach_sound(config: Any, clips: dict[str, list[Clip]]) -> list[str]:
    """Says of each clip whether the log-mel store has sound for it, and applies model.missing_audio; in place."""
    store = MelStore(config.dataset.mels, config.data_augmentation.audio_image_param)
    everything = [clip for split in SPLITS for clip in clips[split]]
    problems, silent = store.check(config.dataset, [(clip.id, clip.path) for clip in everything])
    if silent:
        log.warning("%d clips have no sound (model.missing_audio: %s)", len(silent), config.model.missing_audio)
    for split in SPLITS:
        clips[split] = [clip._replace(sound=clip.id not in silent) for clip in clips[split]]
        if config.model.missing_audio == "drop":
            clips[split] = [clip for clip in clips[split] if clip.sound]
    if silent and config.model.missing_audio == "error":
        problems += _shortened([f"{clip_id}: has no sound, and model.missing_audio is error" for clip_id in silent])
    return problems


def _shortened(lines: Sequence[str], most: int = 20) -> list[str]:
    rest = len(lines) - most
    return [*lines[:most], f"... and {rest} more of this kind"] if rest > 0 else list(lines)
