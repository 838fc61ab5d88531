"""Lists, index and log-mel store of a data set -> its clips; every problem is reported before anything starts."""

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from pipelines.audio.mel_store import MelStore
from pipelines.dataset.audio_files import stored_audio
from pipelines.dataset.clip_columns import Clips
from pipelines.dataset.clips import Dataset
from pipelines.dataset.config import LoaderConfig
from pipelines.dataset.flip_labels import flipped_labels
from pipelines.dataset.frame_index import frame_facts
from pipelines.dataset.index_file import Facts
from pipelines.dataset.list_file import SPLITS, Entries, Entry, check_labels, read_lists
from pipelines.dataset.targets import AnyTargets, Classes
from pipelines.dataset.tsam_names import explain_cut_names
from pipelines.dataset.video_index import piece_facts, video_facts
from pipelines.files.errors import InputError, ListError
from pipelines.files.storage import is_remote, location
from pipelines.files.unicode_names import name_hint
from pipelines.files.words import counted, first_of
from pipelines.parallel.processes import cores

log = logging.getLogger(__name__)

MOST_SHOWN = 20  # clips or classes of one kind of problem
INDEXES: dict[str, Callable[..., Facts]] = {"video": video_facts, "frames": frame_facts}
WHAT = {"video": "videos", "frames": "frame folders"}


class DataError(InputError):
    """Data that cannot be trained on."""


class Loaded(NamedTuple):
    """What `load_data` finds; each field has an item per split."""

    clips: dict[str, Clips]  # in the order of the list
    entries: dict[str, Entries]  # all lines of the list
    left_out: dict[str, dict[str, str]]  # id -> why it is no clip
    targets: AnyTargets = Classes()

    @property
    def num_class(self) -> int:
        """Number of classes, of the training list, whatever is left out of it; or of labels or numbers."""
        return self.targets.outputs(self.entries["training"].labels)


def load_clips(config: LoaderConfig) -> dict[str, Clips]:
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
        if dataset.task == "classes":
            problems += check_labels(lists["training"], lists["validation"], dataset.class_names)
        try:
            flipped_labels(dataset, dataset.targets.outputs(lists["training"].labels))
        except ListError as error:
            problems += error.problems
        _warn_of_leaks(lists)
    row_of: dict[str, int] = {}  # of all clips, each once
    rows = {
        split: np.array([row_of.setdefault(clip_id, len(row_of)) for clip_id in entries.ids])
        for split, entries in lists.items()
    }
    ids = list(row_of)
    del row_of
    try:
        files, facts = _facts(config, ids, lists)
    except InputError as error:
        raise DataError([*problems, *first_of(error.problems, MOST_SHOWN)]) from None
    for split in splits:
        what = f"{WHAT[source]} of the {split} list"
        problems += _unreadable(what, rows[split], facts, config.pipeline.max_bad_fraction)
    kept = {split: rows[split][np.asarray(facts.frames)[rows[split]] > 0] for split in splits}
    reasons = {ids[row]: record["reason"] for row, record in facts.faulty.items()}
    audio: dict[str, str] = {}
    if config.model.audio_segments:
        found, audio, without_audio = _choose_audio(config, ids, files, facts, kept)
        problems, reasons = problems + found, reasons | without_audio
    if problems:
        raise DataError(problems)
    left_out = {
        split: {clip_id: reasons[clip_id] for clip_id in lists[split].ids if clip_id in reasons} if reasons else {}
        for split in splits
    }
    if "training" in lists:
        if set(lists["training"].labels) == {0}:
            log.warning("all clips of the training list are of one class: there is nothing to learn")
        for weak_point in dataset.targets.weak_points(lists["training"].targets):
            log.warning("%s: there is nothing to learn", weak_point)
    clips, begin = {}, location(dataset.data_dir, facts.prefix)
    for split in splits:
        labels = np.zeros(len(ids), np.int32)
        labels[rows[split]] = lists[split].labels
        if dataset.task == "classes":
            _warn_of_lost_classes(split, lists[split].labels, labels[kept[split]], dataset.class_names)
        targets = dict(zip(rows[split].tolist(), lists[split].targets, strict=False))  # of classes none
        places = facts.places(kept[split])
        texts = (
            (ids[row], begin + files[row] + facts.endings[row], audio.get(ids[row], ""), targets.get(row, ""))
            + ((facts.times.get(row, ""),) if places else ())
            for row in kept[split].tolist()
        )
        clips[split] = Clips.of(texts, {"label": labels[kept[split]], **facts.numbers(kept[split])}, places)
    return Loaded(clips, lists, left_out, dataset.targets)


def _facts(config: LoaderConfig, ids: Sequence[str], lists: dict[str, Entries]) -> tuple[Sequence[str], Facts]:
    """The id of each clip's file, and what the index knows of each clip.

    Raises:
        InputError: as of the indexes; pieces of frame folders.
    """
    source, workers = config.pipeline.source, cores()
    dense = config.model.frame_sampling.sampling == "dense"
    if not any(entries.ends for entries in lists.values()):
        return ids, INDEXES[source](config.dataset, ids, workers, dense=dense)
    if source != "video":
        raise ListError(
            ["pieces of files (`ID START END label`) need pipeline.source video: JPEG frames have no times"]
        )
    entry_of: dict[str, tuple[str, Entry]] = {}  # of each clip, in their order
    for split, entries in lists.items():
        for entry in entries:
            entry_of.setdefault(entry.id, (f"{config.dataset.list_file(split)}:{entry.line}: {entry.file}", entry))
    places, pieces = zip(*entry_of.values(), strict=True)
    facts = piece_facts(config.dataset, pieces, places, workers, dense)
    if facts.beyond:
        log.warning(
            "%s behind their files; they are what is there", counted(len(facts.beyond), "piece ends", "pieces end")
        )
        for line in first_of(list(facts.beyond.values()), MOST_SHOWN):
            log.warning("%s", line)
    return [piece.file for piece in pieces], facts


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


def _warn_of_leaks(lists: dict[str, Entries]) -> None:
    both = set(lists["validation"].ids).intersection(lists["training"].ids)
    if both:
        are = counted(len(both), "clip is", "clips are")
        log.warning("%s in both lists, for example %s: validation scores will be too high", are, min(both))


def _warn_of_lost_classes(split: str, listed: Iterable[int], kept: np.ndarray, names: Sequence[str]) -> None:
    lost = sorted(set(listed) - set(np.unique(kept).tolist()))
    if lost:
        named = first_of([names[label] if names else label for label in lost], MOST_SHOWN)
        have = counted(len(lost), f"class of the {split} list has", f"classes of the {split} list have")
        log.warning("%s no clip left: %s", have, ", ".join(named))


def _unreadable(what: str, rows: np.ndarray, facts: Facts, max_fraction: float) -> list[str]:
    bad = [facts.faulty[row] for row in rows.tolist() if row in facts.faulty] if facts.faulty else []
    kinds = Counter(record["status"] for record in bad)
    what = f"{what} cannot be opened ({', '.join(f'{n} {kind}' for kind, n in kinds.items())})"
    return _leave_out(what, [record["reason"] for record in bad], len(rows), max_fraction)


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


def _choose_audio(
    config: LoaderConfig, ids: Sequence[str], files: Sequence[str], facts: Facts, kept: dict[str, np.ndarray]
) -> tuple[list[str], dict[str, str], dict[str, str]]:
    """Look for the audio of the clips, `kept` rows of each split, in the log-mel store, and leave out what has to be;
    in place.

    Returns the problems, the name of each clip's audio in the store, and why each clip was left out.
    """
    store = MelStore(config.dataset.mels, config.data_augmentation.audio_image_param)
    from_video = config.pipeline.source == "video"
    rows = dict.fromkeys(row for members in kept.values() for row in members.tolist())
    begin = location(config.dataset.data_dir, facts.prefix)
    paths = {files[row]: begin + files[row] + facts.endings[row] if from_video else None for row in rows}
    clips = [(ids[row], files[row], facts.part(row)) for row in rows]
    problems, stored, failed = stored_audio(config.dataset, store, paths, clips, config.model.audio_segments)
    videos = {ids[row]: paths[files[row]] for row in rows}
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
    for split, members in kept.items():
        remedy = "repair it, or put a .wav into dir_audios, and precompute the audio again"
        reasons = [f"{ids[row]}: {failed[ids[row]]}; {remedy}" for row in members.tolist() if ids[row] in failed]
        what = f"clips of the {split} list have audio that cannot be read"
        problems += _leave_out(what, reasons, len(members), config.pipeline.max_bad_fraction)
        kept[split] = np.array([row for row in members.tolist() if ids[row] not in left_out], members.dtype)
        if len(members) and not len(kept[split]) and not problems:
            problems.append(f"no clip of the {split} list has audio, and model.missing_audio is drop")
    return problems, stored, left_out
