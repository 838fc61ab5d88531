"""Lists, index and log-mel store of a data set -> its clips; every problem is reported before anything starts."""

import logging
import os
from collections import Counter
from collections.abc import Sequence
from typing import Any

from pipelines.clips import Clip, Dataset, InputError, ListError
from pipelines.frame_index import index_frames
from pipelines.index import Record, index_videos
from pipelines.list_file import Entry, check_labels, read_list
from pipelines.mel_store import MelStore
from pipelines.tsam_names import explain_cut_names

log = logging.getLogger(__name__)

SPLITS = ("training", "validation")
INDEXES = {"video": index_videos, "frames": index_frames}
WHAT = {"video": "videos", "frames": "frame folders"}


class DataError(InputError):
    """Data that cannot be trained on."""


def load_clips(config: Any) -> dict[str, list[Clip]]:
    """The clips of both splits, {"training": [...], "validation": [...]}, in the order of the lists.

    Videos, or frame folders (pipeline.source), that cannot be opened are left out with a warning; if a list holds more
    of them than pipeline.max_bad_fraction, that is an error. So is anything else that is wrong with the data.

    Args:
        config: the settings (`tsam_dali.config.Config`).

    Raises:
        DataError: with every problem found.
    """
    dataset, source = config.dataset, config.pipeline.source
    problems = _folder_problems(dataset, source)
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
        records = INDEXES[source](dataset, ids, workers=len(os.sched_getaffinity(0)))
    except InputError as error:
        raise DataError([*problems, *_shortened(error.problems)]) from None
    clips = {}
    for split in SPLITS:
        what = f"{WHAT[source]} of the {split} list"
        problems += _unreadable(what, lists[split], records, config.pipeline.max_bad_fraction)
        clips[split] = [
            _clip(dataset, entry, records[entry.id]) for entry in lists[split] if records[entry.id]["status"] == "ok"
        ]
    if config.model.audio_segments:
        problems += _attach_sound(config, clips)
    if problems:
        raise DataError(problems)
    return clips


def num_classes(clips: dict[str, list[Clip]]) -> int:
    """Number of classes."""
    return max(clip.label for split in SPLITS for clip in clips[split]) + 1


def _folder_problems(dataset: Dataset, source: str) -> list[str]:
    if not dataset.root.is_dir():
        return [
            f"dataset.data_dir: {dataset.data_dir!r} is no folder (relative paths start at the working directory, "
            f"{os.getcwd()})"
        ]
    problems = []
    name, folder = {"video": ("dir_videos", dataset.videos), "frames": ("dir_frames", dataset.frames)}[source]
    if not folder.is_dir():
        problems.append(f"dataset.{name}: {str(folder)!r} is no folder; pipeline.source is {source}")
    for split in SPLITS:
        if not dataset.list_file(split).is_file():
            problems.append(f"dataset: the {split} list {str(dataset.list_file(split))!r} does not exist")
    return problems


def _warn_of_leaks(lists: dict[str, list[Entry]]) -> None:
    both = {entry.id for entry in lists["training"]} & {entry.id for entry in lists["validation"]}
    if both:
        log.warning("%d clips stand in both lists, for example %s: validation will flatter", len(both), min(both))


def _unreadable(what: str, entries: list[Entry], records: dict[str, Record], max_fraction: float) -> list[str]:
    bad = [records[entry.id] for entry in entries if records[entry.id]["status"] != "ok"]
    kinds = Counter(record["status"] for record in bad)
    what = f"{what} cannot be opened ({', '.join(f'{n} {kind}' for kind, n in kinds.items())})"
    return _leave_out(what, [record["reason"] for record in bad], len(entries), max_fraction)


def _leave_out(what: str, reasons: list[str], total: int, max_fraction: float) -> list[str]:
    """Problems if there are more reasons to leave a clip out than `max_fraction` of them; else they are logged."""
    if len(reasons) > max_fraction * total or (reasons and len(reasons) == total):
        share = f"{len(reasons)} of {total} {what}, more than pipeline.max_bad_fraction={max_fraction:g} allows"
        return [share, *_shortened(reasons)]
    if reasons:
        log.warning("left out: %d of %d %s", len(reasons), total, what)
        for reason in _shortened(reasons):
            log.warning("left out: %s", reason)
    return []


def _clip(dataset: Dataset, entry: Entry, record: Record) -> Clip:
    return Clip(
        id=entry.id,
        label=entry.label,
        path=os.path.join(dataset.data_dir, record["file"]),
        frames=record["frames"],
        height=record["height"],
        width=record["width"],
        sound=False,
    )


def _attach_sound(config: Any, clips: dict[str, list[Clip]]) -> list[str]:
    """Says of each clip whether the log-mel store has sound for it, and leaves out what has to be; in place."""
    store = MelStore(config.dataset.mels, config.data_augmentation.audio_image_param)
    from_video = config.pipeline.source == "video"
    videos = {clip.id: clip.path if from_video else None for split in SPLITS for clip in clips[split]}
    problems, silent, failed = store.check(config.dataset, videos.items())
    if not from_video:
        problems += explain_cut_names(config.dataset.audios, ".wav", silent, videos)[0]
    missing_audio = config.model.missing_audio
    if silent:
        log.warning("%d clips have no sound (model.missing_audio: %s)", len(silent), missing_audio)
    if missing_audio == "error":
        problems += _shortened([f"{clip_id}: has no sound, and model.missing_audio is error" for clip_id in silent])
    for split in SPLITS:
        total, remedy = len(clips[split]), "repair it, or put a .wav into dir_audios, and precompute the sound again"
        reasons = [f"{clip.id}: {failed[clip.id]}; {remedy}" for clip in clips[split] if clip.id in failed]
        what = f"clips of the {split} list have sound that cannot be read"
        problems += _leave_out(what, reasons, total, config.pipeline.max_bad_fraction)
        left_out = failed.keys() | (silent if missing_audio == "drop" else set())
        clips[split] = [clip._replace(sound=clip.id not in silent) for clip in clips[split] if clip.id not in left_out]
        if total and not clips[split] and not problems:
            problems.append(f"no clip of the {split} list has sound, and model.missing_audio is drop")
    return problems


def _shortened(lines: Sequence[str], most: int = 20) -> list[str]:
    rest = len(lines) - most
    return [*lines[:most], f"... and {rest} more of this kind"] if rest > 0 else list(lines)
