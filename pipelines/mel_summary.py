"""`dir_mels/mels.jsonl`: one line for each clip of the log-mel store, so that a large store is checked in seconds.

Lines are only ever added; the last one of a clip counts.
"""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from pipelines import storage
from pipelines.clips import Dataset, ListError
from pipelines.media_files import find_video
from pipelines.mel import AudioImage, log_mel_columns
from pipelines.mel_file import CHANNELS, columns_path, fingerprint, save_columns
from pipelines.names import other_form
from pipelines.record_file import read_records, record_writer
from pipelines.shard import Shard
from pipelines.sound import NoSoundError, read_sound
from pipelines.unfinished import fault_of_one

log = logging.getLogger(__name__)

SUMMARY_NAME = "mels.jsonl"


@dataclass(frozen=True, kw_only=True)
class Record:
    """What is known of the stored sound of one clip: a line of the summary."""

    id: str
    status: Literal["ok", "silent", "failed"]
    source: str  # name of the file that the sound came from, without its folder
    size: int  # of that file, in bytes
    mtime_ns: int | str  # of that file; of an object: its ETag
    fingerprint: str
    reason: str = ""  # why it failed
    channels: int = 0  # stored; a sound whose left and right are equal is stored once
    seconds: float = 0.0


def sound_file(dataset: Dataset, clip_id: str, video: str | Path | None = None) -> str | Path:
    """Where the sound of a clip comes from: `dir_audios/ID.wav` if there is one, else the video. A clip that has
    neither, but a frame folder, is silent: that folder stands for its sound.

    Raises:
        pipelines.clips.ListError: there is none of the three, or what has its name is no file, or has it in another
            Unicode form.
    """
    wav = dataset.audios / f"{clip_id}.wav"
    if os.path.isfile(wav):
        return wav
    if os.path.lexists(wav):
        raise ListError([f"{wav}: is a folder, a link that leads nowhere, a FIFO or a device; expected a .wav file"])
    if hint := other_form(wav):
        raise ListError([f"{wav}: no such file{hint}"])
    try:
        video = video or find_video(dataset, clip_id)
    except ListError:
        if os.path.isdir(folder := dataset.frames / clip_id):
            return folder
        raise
    if os.path.isdir(video):  # not a frame folder, which is silent
        raise ListError([f"{video}: is a folder; expected a video file"])
    return video


def store_sound(dataset: Dataset, clip_id: str, source: str | Path, options: AudioImage) -> Record:
    """Compute and store the columns of one clip; a file that cannot be read gives a record that says why."""
    settings, path = fingerprint(options), columns_path(dataset.mels, clip_id)
    status, reason, columns = "ok", "", None
    size, mtime_ns = 0, 0
    try:
        size, mtime_ns = storage.state(source)  # before reading: what changes meanwhile is then seen as outdated
        try:
            sound, rate = read_sound(source)
            sound = sound[:CHANNELS]
            if np.array_equal(sound[0], sound[-1]):
                sound = sound[:1]  # many clips hold one channel twice
            columns = log_mel_columns(sound, rate, options)
        except NoSoundError:
            status = "silent"
        save_columns(path, columns, settings)
    except Exception as error:  # whatever a file holds, and however it is called
        status, reason, columns = "failed", fault_of_one(error), None
        with suppress(OSError):
            path.unlink()
    return Record(
        id=clip_id,
        status=status,
        source=os.path.basename(source),
        size=size,
        mtime_ns=mtime_ns,
        fingerprint=settings,
        reason=reason,
        channels=len(sound) if columns else 0,
        seconds=columns.samples / columns.rate if columns else 0.0,
    )


@contextmanager
def summary_writer(folder: Path, shard: Shard | None = None) -> Iterator[Callable[[Record], None]]:
    """Gives the function that adds a record to the summary; each is on the disk when the function returns."""
    with record_writer(folder / SUMMARY_NAME, shard) as write:
        yield lambda record: write(asdict(record))


def read_summary(folder: Path) -> dict[str, Record]:
    """The latest record of each clip, by id; empty where there is no summary."""
    records, path = {}, folder / SUMMARY_NAME
    for clip_id, record in read_records(path).items():
        try:
            records[clip_id] = Record(**record)
        except TypeError:
            log.warning("%s: a damaged line is ignored; its clip counts as missing", path)
    return records


def state(record: Record | None, source: storage.State | None, columns: Path, settings: str) -> str:
    """How usable a clip's stored sound is.

    Args:
        record: what the summary knows of the clip, if anything.
        source: state of the file that its sound comes from now; None: it is not there.
        columns: the file of its columns.
        settings: the fingerprint of the wanted options.

    Returns:
        "ok" or "silent"; or what is wrong: "missing", "other settings", "outdated" (the sound comes from another file
        now, or the file has changed) or "failed".
    """
    if record is None:
        return "missing"
    if record.fingerprint != settings:
        return "other settings"
    if (record.size, record.mtime_ns) != source:
        return "outdated"
    if record.status != "failed" and not os.path.isfile(columns):
        return "missing"
    return record.status
