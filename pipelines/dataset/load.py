"""Lists, index and log-mel store of a data set -> its clips; every problem is reported before anything starts."""

import logging
import os
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from pipelines.audio.mel_store import MelStore
from pipelines.dataset.audio_files import audio_states
from pipelines.dataset.clips import Clip, Dataset
from pipelines.dataset.config import LoaderConfig
from pipelines.dataset.frame_index import index_frames
from pipelines.dataset.list_file import SPLITS, Entry, check_labels, read_lists
from pipelines.dataset.tsam_names import explain_cut_names
from pipelines.dataset.video_index import Record, index_videos
from pipelines.files.errors import InputError, ListError
from pipelines.files.storage import is_remote, location
from pipelines.files.unicode_names import name_hint
from pipelines.files.words import counted, first_of

log = logging.getLogger(__name__)

MOST_SHOWN = 20  # clips or classes of one kind of problem
INDEXES = {"video": index_videos, "frames": index_frames}
WHAT = {"video": "videos", "frames": "frame folders"}


class DataError(InputError):
    """Data that cannot be trained on."""


class Loaded(NamedTuple):
    """What `load_data` finds; each field has an item per split."""

    clips: dict[str, list[Clip]]  # in the order of the list
    entries: dict[str, list[Entry]]  # all lines of the list
    left_out: dict[str, dict[str, str]]  # id -> why it is no clip

    @property
    def num_class(self) -> int:
        """Number of classes: of the training list, whatever is left out of it."""
        return max(entry.label for entry in self.entries["training"]) + 1


def load_clips(config: LoaderConfig) -> dict[str, list[Clip]]:
    """The clips of both splits in the order of the lists, {"training": [...], "validation": [...]}; see `load_data`."""
    return load_data(config, SPLITS).clips


def load_data(config: LoaderConfig, splits: Sequence[str]) -> Loaded:
    """Read the lists of `splits` and check every file they name.

    Videos, or frame folders (pipeline.source), that cannot be opened are left out with a warning; if a list holds more
    of them than pipeline.max_bad_fraction, that is an error. So is anything else that is wrong with the data.

    Args:
        config: the settings.
        splits: "training", "validation" or both; labels are checked where both are there.

    Raises:
        DataError: with every problem found.
    """
    dataset, source = config.dataset, config.pipeline.source
    problems = _folder_problems(dataset, source, splits)
    if problems:
        raise DataError(problems)
    try:
        lists = read_lists(dataset, splits)
    except ListError as error:
        raise DataError(error.problems) from None
    if len(lists) == len(SPLITS):
        problems += check_labels(lists["training"], lists["validation"], dataset.class_names)
        _warn_of_leaks(lists)
    ids = list(dict.fromkeys(entry.id for split in splits for entry in lists[split]))
    try:
        records = INDEXES[source](dataset, ids, workers=len(os.sched_getaffinity(0)))
    except InputError as error:
        raise DataError([*problems, *first_of(error.problems, MOST_SHOWN)]) from None
    clips = {}
    for split in splits:
        what = f"{WHAT[source]} of the {split} list"
        problems += _unreadable(what, lists[split], records, config.pipeline.max_bad_fraction)
        clips[split] = [
            _clip(dataset, entry, records[entry.id]) for entry in lists[split] if records[entry.id]["status"] == "ok"
        ]
    reasons = {clip_id: record["reason"] for clip_id, record in records.items() if record["status"] != "ok"}
    if config.model.audio_segments:
        found, without_audio = _attach_audio(config, clips)
        problems, reasons = problems + found, reasons | without_audio
    if problems:
        raise DataError(problems)
    left_out = {
        split: {entry.id: reasons[entry.id] for entry in lists[split] if entry.id in reasons} for split in splits
    }
    if {entry.label for entry in lists.get("training", ())} == {0}:
        log.warning("all clips of the training list are of one class: there is nothing to learn")
    for split in splits:
        _warn_of_lost_classes(split, lists[split], clips[split], dataset.class_names)
    return Loaded(clips, lists, left_out)


def _folder_problems(dataset: Dataset, source: str, splits: Sequence[str]) -> list[str]:
    if is_remote(dataset.data_dir):
        return [
            f"dataset.data_dir: {dataset.data_dir!r}: lists and index need a folder; give s3:// as dataset.dir_videos"
        ]
    if not os.path.isdir(dataset.root):
        return [
            f"dataset.data_dir: {dataset.data_dir!r} is not a folder (relative paths start at the working directory, "
            f"{os.getcwd()}){name_hint(dataset.root)}"
        ]
    problems = []
    name, folder = {"video": ("dir_videos", dataset.videos), "frames": ("dir_frames", dataset.frames)}[source]
    if not is_remote(folder) and not os.path.isdir(folder):
        problems.append(
            f"dataset.{name}: {str(folder)!r} is not a folder; pipeline.source is {source}{name_hint(folder)}"
        )
    for split in splits:
        if not os.path.isfile(file := dataset.list_file(split)):
            missing = "is not a file" if os.path.lexists(file) else "does not exist"
            problems.append(f"dataset: the {split} list {str(file)!r} {missing}{name_hint(file)}")
    return problems


def _warn_of_leaks(lists: dict[str, list[Entry]]) -> None:
    both = {entry.id for entry in lists["training"]} & {entry.id for entry in lists["validation"]}
    if both:
        are = counted(len(both), "clip is", "clips are")
        log.warning("%s in both lists, for example %s: validation scores will be too high", are, min(both))


def _warn_of_lost_classes(split: str, entries: list[Entry], clips: list[Clip], names: Sequence[str]) -> None:
    lost = sorted({entry.label for entry in entries} - {clip.label for clip in clips})
    if lost:
        named = first_of([names[label] if names else label for label in lost], MOST_SHOWN)
        have = counted(len(lost), f"class of the {split} list has", f"classes of the {split} list have")
        log.warning("%s no clip left: %s", have, ", ".join(named))


def _unreadable(what: str, entries: list[Entry], records: dict[str, Record], max_fraction: float) -> list[str]:
    bad = [records[entry.id] for entry in entries if records[entry.id]["status"] != "ok"]
    kinds = Counter(record["status"] for record in bad)
    what = f"{what} cannot be opened ({', '.join(f'{n} {kind}' for kind, n in kinds.items())})"
    return _leave_out(what, [record["reason"] for record in bad], len(entries), max_fraction)


def _leave_out(what: str, reasons: list[str], total: int, max_fraction: float) -> list[str]:
    """Problems if there are more reasons to leave a clip out than `max_fraction` of them; else they are logged."""
    if len(reasons) > max_fraction * total or (reasons and len(reasons) == total):
        share = f"{len(reasons)} of {total} {what}, more than pipeline.max_bad_fraction={max_fraction:g} allows"
        return [share, *first_of(reasons, MOST_SHOWN)]
    if reasons:
        log.warning("left out: %d of %d %s", len(reasons), total, what)
        for reason in first_of(reasons, MOST_SHOWN):
            log.warning("left out: %s", reason)
    return []


def _clip(dataset: Dataset, entry: Entry, record: Record) -> Clip:
    return Clip(
        id=entry.id,
        label=entry.label,
        path=location(dataset.data_dir, record["file"]),
        frames=record["frames"],
        height=record["height"],
        width=record["width"],
        audio="",
        pixel_aspect=record.get("pixel_aspect", 1.0),  # of JPEG files nothing is known
    )


def _attach_audio(config: LoaderConfig, clips: dict[str, list[Clip]]) -> tuple[list[str], dict[str, str]]:
    """Note for each clip whether the log-mel store has audio for it, and leave out what has to be; in place.

    Returns the problems, and why each clip was left out.
    """
    store = MelStore(config.dataset.mels, config.data_augmentation.audio_image_param)
    from_video = config.pipeline.source == "video"
    videos = {clip.id: clip.path if from_video else None for members in clips.values() for clip in members}
    states, without_file = audio_states(config.dataset, videos)
    problems, stored, failed = store.check(states)
    failed |= without_file
    silent = [clip_id for clip_id in videos if stored.get(clip_id) == ""]  # in the order of the lists
    if not from_video:
        problems += explain_cut_names(config.dataset.audios, ".wav", silent, videos)[0]
    missing_audio = config.model.missing_audio
    if silent:
        have = counted(len(silent), "clip has", "clips have")
        log.warning("%s no audio, the first is %s (model.missing_audio: %s)", have, silent[0], missing_audio)
    if missing_audio == "error":
        lines = [f"{clip_id}: has no audio, and model.missing_audio is error" for clip_id in silent]
        problems += first_of(lines, MOST_SHOWN)
    left_out = dict(failed)
    if missing_audio == "drop":
        left_out |= dict.fromkeys(silent, "has no audio, and model.missing_audio is drop")
    for split, members in clips.items():
        remedy = "repair it, or put a .wav into dir_audios, and precompute the audio again"
        reasons = [f"{clip.id}: {failed[clip.id]}; {remedy}" for clip in members if clip.id in failed]
        what = f"clips of the {split} list have audio that cannot be read"
        problems += _leave_out(what, reasons, len(members), config.pipeline.max_bad_fraction)
        clips[split] = [clip._replace(audio=stored.get(clip.id, "")) for clip in members if clip.id not in left_out]
        if members and not clips[split] and not problems:
            problems.append(f"no clip of the {split} list has audio, and model.missing_audio is drop")
    return problems, left_out
