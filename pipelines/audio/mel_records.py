"""`dir_mels/mels.jsonl`: one line for each file whose audio is in the log-mel store, so that a large store is checked
in seconds.

A clip may have several such files, as a .wav, a video and a training copy of it. Equal audio is stored once, other
audio beside it. Lines are only ever added; the last one of a file counts.
"""

import hashlib
import logging
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from operator import index
from pathlib import Path
from typing import Literal

import numpy as np

from pipelines.audio.log_mel import AudioImage, Columns, log_mel_columns
from pipelines.audio.mel_file import CHANNELS, MelError, columns_path, fingerprint, load_columns, save_columns
from pipelines.audio.read import NoAudioError, read_audio
from pipelines.files import storage
from pipelines.files.atomic import fault_of_one
from pipelines.files.records import read_records, record_writer
from pipelines.files.shard import Shard

log = logging.getLogger(__name__)

SUMMARY_NAME = "mels.jsonl"
_KEY = ("id", "size", "mtime_ns")
Status = Literal["ok", "silent", "failed"]
_OLD_NAME_OF_DIGEST = "sound"  # in stores that were made before the field got its name


@dataclass(frozen=True, kw_only=True)
class Record:
    """What is known about the stored audio of one file of a clip: a line of the summary."""

    id: str
    status: Status
    source: str  # name of the file that the audio came from, without its folder
    size: int  # of that file, in bytes
    mtime_ns: int | str  # of that file; of an object: its ETag
    fingerprint: str
    reason: str = ""  # why it failed
    channels: int = 0  # stored; audio whose left and right are equal is stored once
    of_channels: int = 0  # so many different ones the audio has, two at most; 0: all are stored
    seconds: float = 0.0
    folder: str = ""  # of that file, relative to data_dir; "": not known
    digest: str = ""  # SHA-256 of the samples; "": not known
    stored: str = ""  # name in the store, without its ending; "": the id

    @property
    def name(self) -> str:
        return self.stored or self.id


def store_audio(
    mels: Path,
    data_dir: str | Path,
    clip_id: str,
    source: str | Path,
    options: AudioImage,
    known: Sequence[Record] = (),
    audio_segments: int = CHANNELS,
) -> Record:
    """Compute and store the columns of one file of a clip, unless its audio is stored already; a file that cannot be
    read gives a record that says why.

    mels, data_dir: folders of the store and of the data set.
    known: what the summary says of the clip. Audio of its other files is kept.
    audio_segments: how many channels to store, of those that differ. What is stored of them is not computed again.
    """
    settings, folder = fingerprint(options), _folder(data_dir, source)
    status: Status = "ok"
    reason, audio, digest, rate, seconds, channels = "", np.empty((0, 0)), "", 0, 0.0, 0
    found: storage.State = (0, 0)
    try:
        found = storage.state(source)  # before reading: what changes meanwhile is then seen as outdated
        try:
            audio, rate = read_audio(source)
            audio = audio[:CHANNELS]
            if np.array_equal(audio[0], audio[-1]):
                audio = audio[:1]  # many clips hold one channel twice
            samples = np.ascontiguousarray(audio).tobytes()
            digest = hashlib.sha256(f"{rate} {audio.shape}".encode() + samples).hexdigest()
            seconds = audio.shape[1] / rate
        except NoAudioError:
            status, digest = "silent", "none"
    except Exception as error:  # whatever a file holds, and however it is called
        status, reason = "failed", fault_of_one(error)
    stored = [record for record in known if record.status != "failed"]
    same_file = (folder, os.path.basename(source)), found
    others = [one for one in stored if not {(one.folder, one.source), (one.size, one.mtime_ns)} & set(same_file)]
    name = clip_id
    if status != "failed":
        name = _name(clip_id, digest, stored, others)
        path = columns_path(mels, name)
        try:
            channels = min(audio_segments, len(audio))
            there = _stored_channels(stored, name, digest, settings, path)
            if there >= channels and any((one.digest, one.fingerprint) == (digest, settings) for one in others):
                channels = there
            else:
                columns = _columns(path, audio[:channels], rate, options, there) if status == "ok" else None
                save_columns(path, columns, settings, len(audio))
        except Exception as error:  # its name may be too long
            status, reason = "failed", fault_of_one(error)
    if status == "failed":
        for stale in {record.name for record in stored} - {record.name for record in others}:
            with suppress(OSError):
                columns_path(mels, stale).unlink()
    return Record(
        id=clip_id,
        status=status,
        source=os.path.basename(source),
        size=found[0],
        mtime_ns=found[1],
        fingerprint=settings,
        reason=reason,
        channels=channels,
        of_channels=len(audio),
        seconds=seconds,
        folder=folder,
        digest=digest,
        stored=name if name != clip_id else "",
    )


def _folder(data_dir: str | Path, source: str | Path) -> str:
    """Where a file lies: relative to the data set, so that this may move; or an address."""
    folder = os.path.dirname(source)
    return folder if storage.is_remote(folder) else os.path.relpath(folder, data_dir)


def _name(clip_id: str, digest: str, known: Sequence[Record], others: Sequence[Record]) -> str:
    """Where audio is stored: where it is already, else in the place that no other file of the clip needs."""
    for record in known:
        if record.digest == digest:
            return record.name
    return clip_id if clip_id not in {record.name for record in others} else f"{clip_id}.{digest[:8]}"


def _stored_channels(known: Sequence[Record], name: str, digest: str, settings: str, path: Path) -> int:
    """How many channels of this audio are stored, made with these settings; -1: it is not there at all."""
    last = _last(known, name)
    if not last or (last.digest, last.fingerprint) != (digest, settings) or not os.path.isfile(path):
        return -1
    return last.channels


def _columns(path: Path, audio: np.ndarray, rate: int, options: AudioImage, there: int) -> Columns:
    """The columns of all channels; the first ones, if fewer are stored, are taken from the store."""
    if 0 < there < len(audio):
        with suppress(MelError):  # damaged
            stored = load_columns(path, fingerprint(options), there)
            if stored and (stored.rate, stored.samples) == (rate, audio.shape[1]):
                more = log_mel_columns(audio[there:], rate, options)
                return more._replace(
                    windows=[np.concatenate(both) for both in zip(stored.windows, more.windows, strict=True)]
                )
    return log_mel_columns(audio, rate, options)


def _last(known: Sequence[Record], name: str) -> Record | None:
    """What the last line says that names these columns: only that counts."""
    return next((one for one in reversed(known) if one.name == name and one.status != "failed"), None)


def _holds(record: Record, known: Sequence[Record]) -> bool:
    """Whether the columns of a record have not been replaced since."""
    last = _last(known, record.name)
    return not last or (last.digest, last.fingerprint) == (record.digest, record.fingerprint)


@contextmanager
def summary_writer(folder: Path, shard: Shard | None = None) -> Iterator[Callable[[Record], None]]:
    """Gives the function that adds a record to the summary; each is on the disk when the function returns."""
    with record_writer(folder / SUMMARY_NAME, shard, _KEY) as write:
        yield lambda record: write(asdict(record))


def read_summary(folder: Path) -> dict[str, list[Record]]:
    """The latest records of each clip's files, by id, the newest last; empty where there is no summary."""
    records, path = defaultdict(list), folder / SUMMARY_NAME
    for record in read_records(path, _KEY).values():
        try:
            record["digest"] = record.pop(_OLD_NAME_OF_DIGEST, record.get("digest", ""))
            one = Record(**record)
            index(one.channels), index(one.of_channels)  # numbers; else a TypeError
            records[one.id].append(one)
        except TypeError:
            log.warning("%s: a damaged line is ignored; its clip counts as missing", path)
    return dict(records)


def state(
    records: Sequence[Record],
    sources: Sequence[storage.State],
    folder: Path,
    settings: str,
    audio_segments: int = 1,
) -> tuple[str, Record | None]:
    """How usable a clip's stored audio is, and the record that says so.

    Args:
        records: what the summary knows of the clip.
        sources: see `source_states`; the first one counts, unless only another is stored.
        folder: the store.
        settings: the fingerprint of the wanted options.
        audio_segments: how many channels are wanted, of those that differ.

    Returns:
        "ok" or "silent"; or what is wrong: "missing", "other settings", "outdated" (the audio comes from another file
        now, or the file has changed), "fewer channels" (are stored than wanted) or "failed".
    """
    if not records:
        return "missing", None
    found = [
        (_state(record, records, folder, settings, audio_segments), record)
        for source in sources
        for record in records
        if (record.size, record.mtime_ns) == tuple(source)
    ]
    if not found:
        last = records[-1]
        return ("outdated" if last.fingerprint == settings else "other settings"), last
    return next((pair for pair in found if pair[0] in ("ok", "silent")), found[0])


def _state(record: Record, records: Sequence[Record], folder: Path, settings: str, audio_segments: int) -> str:
    if record.fingerprint != settings:
        return "other settings"
    if record.status == "failed":
        return "failed"
    if not _holds(record, records):
        return "outdated"
    if not os.path.isfile(columns_path(folder, record.name)):
        return "missing"
    stored = (_last(records, record.name) or record).channels
    return "fewer channels" if stored < min(audio_segments, record.of_channels) else record.status
