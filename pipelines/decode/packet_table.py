"""Where the packets of a long file lie, kept beside the index: a piece is read without reading what tells of the rest.

A table is made when a file is indexed, from all its packets as they come from the demuxer, and each is looked up in the
file. So a piece costs what it costs in a file of its own, whatever the container.
"""

import json
import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import av
import numpy as np
from av.codec import CodecContext
from av.video.codeccontext import VideoCodecContext

from pipelines.decode.bitstream.packets import Fact
from pipelines.decode.demux import Demuxed
from pipelines.decode.orientation import orientation, own_matrix
from pipelines.decode.reader import VideoReader, selected_frames
from pipelines.files.atomic import temporary_path
from pipelines.files.storage import is_remote

VERSION = "1"
BLOCK_HEAD = 64
"""Bytes of a container's own that may stand before a packet where it is said to begin, as in Matroska."""
_ROW = np.dtype(
    [
        *((name, "<i8") for name in ("pts", "offset")),
        *((name, "<i4") for name in ("size", "from")),  # from: the last packet up to this one where decoding may start
        *((name, "?") for name in ("frame", "start", "reference", "leading")),
    ]
)
_SHOWN, _LENGTH = np.dtype("<i4"), 4
"""Of the numbers of packets that hold frames, in the order shown; bytes of the length of the head."""


class Tables(NamedTuple):
    """Where the tables of the videos in a folder are kept."""

    videos: str  # the folder, with a slash
    folder: str

    def of(self, path: str | Path) -> str:
        """The table of a video."""
        return os.path.join(self.folder, f"{str(path).removeprefix(self.videos)}.packets")


def save_table(video: VideoReader, target: Path) -> bool:
    """Write the table of an open file, as a whole or not at all; False where it can have none: it is in an object
    store, its packets do not lie in it as they are, or a decoder must know more than they and the file's display matrix
    say.
    """
    rows = None if is_remote(video.path) else _rows(video)
    matrix = None if rows is None else _matrix(video)
    if rows is None or matrix is None:
        return False
    codec, shown = video.stream.codec_context, np.array(video.demuxed.shown, _SHOWN)
    about = {"version": VERSION, "file": _state(video.path), "packets": len(rows), "frames": len(shown)}
    about |= {"codec": codec.codec.canonical_name, "extradata": (codec.extradata or b"").hex()}
    about |= {"matrix": matrix.hex()}
    head = json.dumps(about).encode()
    target.parent.mkdir(parents=True, exist_ok=True)
    with temporary_path(target) as temporary:
        temporary.write_bytes(len(head).to_bytes(_LENGTH, "little") + head + rows.tobytes() + shown.tobytes())
        os.replace(temporary, target)
    return True


def _state(path: str | Path) -> list[int]:
    """What changes with a file."""
    status = os.stat(path)
    return [status.st_size, status.st_mtime_ns]


def _rows(video: VideoReader) -> np.ndarray | None:
    demuxed = video.demuxed
    facts = demuxed.facts
    if not demuxed.shown or any(fact.pts is None for fact in facts):
        return None
    rows = np.zeros(len(facts), _ROW)
    with open(video.path, "rb") as file:
        for i, packet in enumerate(demuxed.packets(range(len(facts)))):
            if packet.pos is None or packet.pos < 0 or packet.has_sidedata("new_extradata"):
                return None
            content = bytes(packet)
            place = os.pread(file.fileno(), BLOCK_HEAD + len(content), packet.pos).find(content)
            if place < 0:
                return None
            rows[i]["offset"], rows[i]["size"] = packet.pos + place, len(content)
    for name in ("pts", "frame", "start", "reference", "leading"):
        rows[name] = [getattr(fact, name) for fact in facts]
    rows["from"] = np.maximum.accumulate(np.where(rows["start"], np.arange(len(facts)), 0))
    return rows


def _matrix(video: VideoReader) -> bytes | None:
    """The display matrix that the file gives to all frames, empty if there is none; None where the first frame is not
    the same from a decoder that knows nothing else of the file."""
    expected = video.selected({0})
    codec = _decoder(video.stream.codec_context.codec.canonical_name, video.stream.codec_context.extradata)
    found = selected_frames(video.demuxed, codec, {0}) if codec else None
    if not expected or not found or own_matrix(found[0]):  # one in the stream may change
        return None
    matrix = own_matrix(expected[0]) or b""
    found[0].opaque = matrix
    return matrix if _properties(expected[0]) == _properties(found[0]) else None


def _properties(frame: av.VideoFrame) -> tuple[Any, ...]:
    planes = tuple(bytes(plane) for plane in frame.planes)
    return frame.format.name, frame.width, frame.height, int(frame.color_range), orientation(frame), planes


def _decoder(codec: str, extradata: bytes | None) -> VideoCodecContext | None:
    try:
        decoder = CodecContext.create(codec, "r")
    except (av.FFmpegError, ValueError):
        return None
    assert isinstance(decoder, VideoCodecContext)
    decoder.extradata = extradata or None
    return decoder


def table_frames(path: str | Path, table: str | Path, wanted: Collection[int]) -> dict[int, av.VideoFrame] | None:
    """The wanted frames of a file, by number, of which only the bytes that they need are read; None where there is no
    table of the file as it is, or something is out of the ordinary.
    """
    with suppress(OSError, KeyError, ValueError, IndexError, av.FFmpegError), open(path, "rb") as file:
        with open(table, "rb") as content:
            about = json.loads(content.read(int.from_bytes(content.read(_LENGTH), "little")))
            if about["version"] != VERSION or about["file"] != _state(path):
                return None
            first, stop = min(wanted), max(wanted) + 1
            if not 0 <= first < stop <= about["frames"]:
                return None
            rows_at = content.tell()
            shown_at = rows_at + about["packets"] * _ROW.itemsize
            shown = _read(content, _SHOWN, shown_at, first, stop)
            needed = shown[[frame - first for frame in wanted]]
            begin = _read(content, _ROW, rows_at, needed.min(), needed.min() + 1)["from"][0]
            if begin:  # leading pictures need the random access point before
                begin = _read(content, _ROW, rows_at, begin - 1, begin)["from"][0]
            rows = _read(content, _ROW, rows_at, begin, shown.max() + 1)
        facts = [Fact(*row) for row in rows[["pts", "frame", "start", "reference", "leading"]].tolist()]
        codec = _decoder(about["codec"], bytes.fromhex(about["extradata"]))
        demuxed = Demuxed(path, facts, (shown - begin).tolist(), _Packets(file.fileno(), rows))
        frames = selected_frames(demuxed, codec, {frame - first for frame in wanted}) if codec else None
        if frames is None:
            return None
        for frame in frames.values():
            frame.opaque = bytes.fromhex(about.get("matrix", ""))
        return {first + number: frame for number, frame in frames.items()}
    return None


def _read(file: BinaryIO, kind: np.dtype, begin: int, first: int, stop: int) -> np.ndarray:
    """Some rows of one kind, which begin at a place in a file; raises ValueError where they are not there."""
    content = os.pread(file.fileno(), int(stop - first) * kind.itemsize, begin + int(first) * kind.itemsize)
    rows = np.frombuffer(content, kind)
    if len(rows) != stop - first:
        raise ValueError("a table of packets is cut short")
    return rows


class _Packets:
    """Packets by number, read one by one."""

    def __init__(self, file: int, rows: np.ndarray):
        self._file, self._places = file, rows[["size", "offset", "pts"]].tolist()

    def __getitem__(self, number: int) -> av.Packet:
        size, offset, pts = self._places[number]
        packet = av.Packet(os.pread(self._file, size, offset))
        packet.pts = pts
        return packet
