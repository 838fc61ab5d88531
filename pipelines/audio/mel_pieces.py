"""The log-mel store of pieces of long files: one file for each of them, with the columns of all its pieces.

The columns of a piece are those of its samples alone, so they are what a file that is cut there would have; a
reader takes the bytes of its piece only. `pieces.jsonl` beside them tells which pieces of which files are there.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from pipelines.audio.log_mel import AudioImage, Columns, log_mel_columns
from pipelines.audio.mel_file import CHANNELS, MelError, columns_path, fingerprint, unpacked_columns
from pipelines.audio.mel_packing import PackingError, pack
from pipelines.audio.piece_samples import Part, piece_samples
from pipelines.files import storage
from pipelines.files.atomic import fault_of_one, temporary_path
from pipelines.files.records import read_records, record_writer
from pipelines.files.shard import Shard
from pipelines.files.tool_command import tool_command

SUMMARY_NAME = "pieces.jsonl"
_KEY = ("id",)
_CHANNEL = "channel{}".format
REMEDY = f"run {tool_command('precompute_audio')}"


@dataclass(frozen=True, kw_only=True)
class PiecesRecord:
    """What is known of the stored pieces of a file: a line of the summary."""

    id: str
    status: str  # "ok" or "failed"
    size: int  # of the file, in bytes
    mtime_ns: int | str  # of the file; of an object: its ETag
    fingerprint: str
    channels: int  # asked for
    of_channels: int  # different ones that a piece has, at most
    parts: list[list[float]]
    silent: list[int]  # which of them are
    reason: str = ""  # why it failed


def pieces_name(file_id: str) -> str:
    """The name of a file's pieces in the store."""
    return f"{file_id}.pieces"


def store_pieces(
    mels: Path, file_id: str, source: str | Path, options: AudioImage, audio_segments: int, parts: Sequence[Part]
) -> PiecesRecord:
    """Compute and store the columns of pieces of a file; a file that cannot be read gives a record that says why.

    mels: folder of the store. audio_segments: how many channels to store, of those that differ.
    """
    parts, settings = sorted(set(parts)), fingerprint(options)
    about: dict[str, Any] = {"id": file_id, "fingerprint": settings, "channels": audio_segments}
    about |= {"size": 0, "mtime_ns": 0, "of_channels": 0, "parts": [list(part) for part in parts], "silent": []}
    try:
        about["size"], about["mtime_ns"] = storage.state(source)  # before reading: what changes meanwhile is seen
        packed = [_packed(samples, rate, options, audio_segments) for samples, rate in piece_samples(source, parts)]
        _save(columns_path(mels, pieces_name(file_id)), parts, packed, settings)
    except Exception as error:  # whatever a file holds, and however it is called
        with suppress(OSError):
            columns_path(mels, pieces_name(file_id)).unlink()
        return PiecesRecord(**about | {"status": "failed", "reason": fault_of_one(error)})
    about["of_channels"] = max(one.of_channels for one in packed)
    about["silent"] = [number for number, one in enumerate(packed) if not one.channels]
    return PiecesRecord(**about, status="ok")


def as_stored(samples: np.ndarray, rate: int, options: AudioImage, audio_segments: int) -> Columns | None:
    """The columns of a piece, None for one without audio, as they come out of the store: rounded to its steps."""
    packed = _packed(samples, rate, options, audio_segments)
    if not packed.channels:
        return None
    channels = [np.frombuffer(channel, np.uint8) for channel in packed.channels]
    return Columns(unpacked_columns(channels, packed.columns, fingerprint(options)), packed.rate, packed.samples)


class _Packed(NamedTuple):
    """One piece as it is stored."""

    channels: list[bytes]
    of_channels: int
    rate: int
    samples: int
    columns: list[int]  # of each window


def _packed(samples: np.ndarray, rate: int, options: AudioImage, audio_segments: int) -> _Packed:
    if not samples.size:
        return _Packed([], 0, 0, 0, [0, 0, 0])
    samples = samples[:CHANNELS]
    if np.array_equal(samples[0], samples[-1]):
        samples = samples[:1]
    windows = log_mel_columns(samples[:audio_segments], rate, options).windows
    channels = [pack([window[channel] for window in windows]) for channel in range(len(windows[0]))]
    return _Packed(channels, len(samples), rate, samples.shape[1], [window.shape[-1] for window in windows])


def _save(path: Path, parts: Sequence[Part], packed: Sequence[_Packed], settings: str) -> None:
    """Write the file of all pieces as a whole or not at all."""
    arrays = {}
    ends = np.zeros((len(packed), CHANNELS), np.int64)
    for number in range(CHANNELS):
        channel = [one.channels[number] if number < len(one.channels) else b"" for one in packed]
        ends[:, number] = np.cumsum([len(content) for content in channel])
        arrays[_CHANNEL(number)] = np.frombuffer(b"".join(channel), np.uint8)
    rows = [[len(one.channels), one.of_channels, one.rate, one.samples, *one.columns] for one in packed]
    arrays |= {"parts": np.array(parts, np.float64), "rows": np.hstack([np.array(rows, np.int64), ends])}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary_path(path) as temporary:
            temporary.write_bytes(save(arrays, {"fingerprint": settings}))
            os.replace(temporary, path)
    except OSError as error:
        raise MelError(f"{path}: cannot be written ({error.strerror})") from error


def load_piece(path: Path, settings: str, part: Part, channels: int = CHANNELS) -> Columns | None:
    """The columns of one piece, float32, or None for one without audio; of the file only its bytes are read.

    Raises:
        MelError: the file is missing, damaged, made with other settings, or lacks the piece or a channel of it.
    """
    try:
        with safe_open(path, framework="np") as file:
            made_with = (file.metadata() or {}).get("fingerprint", "unknown settings")
            if made_with != settings:
                raise MelError(f"{path}: made with {made_with}; expected {settings}; {REMEDY}")
            parts = file.get_slice("parts")[:]
            number = int(np.searchsorted(parts[:, 0], part[0]))
            while number < len(parts) and tuple(parts[number]) != part:
                number += 1
            if number == len(parts):
                raise MelError(f"{path}: does not hold the piece from {part[0]:g} to {part[1]:g} s; {REMEDY}")
            rows = file.get_slice("rows")[max(number - 1, 0) : number + 1].tolist()
            stored, of_channels, rate, samples, *lengths = rows[-1][:-CHANNELS]
            if not stored:
                return None
            if (wanted := min(channels, of_channels)) > stored:
                raise MelError(f"{path}: holds {stored} of {wanted} channels; with model.audio_segments 2 {REMEDY}")
            places = zip(rows[-2][-CHANNELS:] if number else [0] * CHANNELS, rows[-1][-CHANNELS:], strict=True)
            packed = [
                file.get_slice(_CHANNEL(channel))[begin:end]
                for channel, (begin, end) in zip(range(wanted), places, strict=False)
            ]
        return Columns(unpacked_columns(packed, lengths, settings), rate, samples)
    except MelError:
        raise
    except FileNotFoundError as error:
        raise MelError(f"{path}: does not exist; {REMEDY}") from error
    except (PackingError, OSError, SafetensorError, KeyError, ValueError, TypeError, IndexError) as error:
        raise MelError(f"{path}: is damaged or cannot be read ({error}); delete it and {REMEDY}") from error


@contextmanager
def pieces_writer(folder: Path, shard: Shard | None = None) -> Iterator[Any]:
    """Gives the function that adds a record to the summary; each is on the disk when the function returns."""
    with record_writer(folder / SUMMARY_NAME, shard, _KEY) as write:
        yield lambda record: write(asdict(record))


def read_pieces(folder: Path) -> dict[str, PiecesRecord]:
    """The latest record of each file; empty where there is no summary."""
    found = {}
    for record in read_records(folder / SUMMARY_NAME, _KEY).values():
        with suppress(TypeError):  # a damaged line: the file counts as missing
            found[record["id"]] = PiecesRecord(**record)
    return found


def pieces_state(
    record: PiecesRecord | None,
    sources: Sequence[storage.State],
    folder: Path,
    settings: str,
    audio_segments: int,
    parts: Sequence[Part],
) -> str:
    """How usable the stored pieces of a file are: "ok", "failed", or what is wrong; see `mel_records.state`."""
    if record is None:
        return "missing"
    if record.fingerprint != settings:
        return "other settings"
    if (record.size, record.mtime_ns) not in set(sources):
        return "outdated"
    if record.status == "failed":
        return "failed"
    if not {tuple(part) for part in record.parts}.issuperset(parts):
        return "missing"
    if not os.path.isfile(columns_path(folder, pieces_name(record.id))):
        return "missing"
    return "fewer channels" if record.channels < min(audio_segments, record.of_channels) else "ok"


def silent_parts(record: PiecesRecord) -> set[Part]:
    """The pieces in which nothing was recorded."""
    return {(record.parts[number][0], record.parts[number][1]) for number in record.silent}


Wanted = Mapping[str, Sequence[Part]]
"""The pieces of each file that are asked for."""
