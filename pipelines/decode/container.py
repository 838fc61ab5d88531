"""Opening video files: what can be checked before any decoding, and errors that name the fault."""

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from pipelines.files.formats import ENDINGS, demuxer_of
from pipelines.files.storage import is_remote, open_remote
from pipelines.files.unicode_names import name_hint

ISO_MEDIA_BOXES = b"ftyp moov mdat free skip wide pnot styp moof sidx uuid udta junk pict prfl".split()
"""Boxes with which an MP4 or MOV file may begin."""
EBML_ID = b"\x1a\x45\xdf\xa3"
SEGMENT_ID = b"\x18\x53\x80\x67"
ASF_HEADER_ID = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
ASF_FILE_PROPERTIES_ID = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
PACK_HEADER = b"\0\0\1\xba"
SYNC_BYTE = 0x47
RESYNC_BYTES, PACKETS_IN_A_ROW = 1 << 16, 5  # how far, and for what, the beginning of a packet is looked for


class VideoError(ValueError):
    """A video or frame folder that cannot be used. `status` is a short word for the index; the text says what to do."""

    def __init__(self, status: str, message: str):
        super().__init__(status, message)
        self.status = status

    def __str__(self) -> str:
        return self.args[1]


@contextmanager
def open_video(path: str | Path) -> Iterator[InputContainer]:
    """Open a file with the demuxer of its ending, whatever the file's content asks for.

    Raises:
        VideoError: `missing`, `not_a_file`, `unknown_ending`, `empty`, `unreadable`, `not_a_video`, `truncated` or
            `damaged` (the container cannot be read).
    """
    demuxer = demuxer_of(path)
    if demuxer is None:
        raise VideoError("unknown_ending", f"{path}: expected one of the endings {ENDINGS}")
    remote = _fetched(path) if is_remote(path) else None
    _check_content(path, demuxer, remote)
    try:
        container = av.open(remote or f"file:{os.path.abspath(path)}", "r", format=demuxer, metadata_errors="replace")
    except (av.FFmpegError, ValueError, MemoryError) as error:
        raise damaged(path, error) from error
    with remote or nullcontext(), container:
        yield container


def video_stream(path: str | Path, container: InputContainer) -> VideoStream:
    """The first video stream that is not a cover image.

    Raises:
        VideoError: `no_video`, or `unsupported` where no decoder is known.
    """
    attached = av.stream.Disposition.attached_pic
    streams = [stream for stream in container.streams.video if not stream.disposition & attached]
    if not streams:
        raise VideoError("no_video", f"{path}: holds no video stream; leave it out of the list")
    if streams[0].codec_context is None:
        raise VideoError("unsupported", f"{path}: no decoder for its video; convert it to H.264")
    return streams[0]


def decodable(packets: Iterable[av.Packet]) -> Iterator[av.Packet]:
    """All but the empty packets that a file lists: FFmpeg makes no frame of them. Those at the end, which have no time,
    flush the decoders.
    """
    return (packet for packet in packets if packet.size or packet.dts is None)


def damaged(path: str | Path, error: object) -> VideoError:
    return VideoError("damaged", f"{path}: damaged ({error}); fetch it again or leave it out of the list")


def _fetched(path: str) -> BinaryIO:
    try:
        return open_remote(path)
    except FileNotFoundError as error:
        raise VideoError("missing", str(error)) from error
    except OSError as error:
        raise VideoError("unreadable", f"{path}: cannot be read ({error}); check the bucket and its keys") from error


def _check_content(path: str | Path, demuxer: str, remote: BinaryIO | None) -> None:
    """Raise VideoError unless a file looks like what its ending says, and is as long as its header says."""
    size, head, declared_size = _measure(path, demuxer) if remote is None else _measure_open(remote, demuxer)
    if size == 0:
        raise VideoError("empty", f"{path}: holds no bytes; fetch it again")
    if declared_size is None:
        raise VideoError("not_a_video", f"{path}: begins with {head!r}, which is not {demuxer}; rename or replace it")
    if declared_size > size:
        message = f"{path}: cut short, {size} of at least {declared_size} bytes are there; fetch it again"
        raise VideoError("truncated", message)


def _measure(path: str | Path, demuxer: str) -> tuple[int, bytes, int | None]:
    """Size of a file in bytes, its first bytes, and the size that it must have by its own header."""
    try:
        status = os.stat(path)
        if stat.S_ISREG(status.st_mode):  # opening a FIFO would wait for a writer
            with open(path, "rb") as file:
                return _measure_open(file, demuxer)
    except FileNotFoundError as error:
        raise VideoError("missing", f"{path}: no such file{name_hint(path)}") from error
    except (OSError, ValueError) as error:  # ValueError: a name that cannot be one
        raise VideoError(
            "unreadable", f"{path}: cannot be read ({error}); check its permissions and its name"
        ) from error
    raise VideoError("not_a_file", f"{path}: is a folder, FIFO or device; expected a video file")


def _measure_open(file: BinaryIO, demuxer: str) -> tuple[int, bytes, int | None]:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(16)
    declared_size = DECLARED_SIZE[demuxer](file, head)
    file.seek(0)
    return size, head, declared_size


def _iso_media_size(file, head: bytes) -> int | None:
    """Size in bytes that an MP4 or MOV file must have to hold its boxes; None: it is none (ISO/IEC 14496-12, 4.2)."""
    if head[4:8] not in ISO_MEDIA_BOXES:
        return None
    size = position = 0
    end = file.seek(0, os.SEEK_END)
    while position < end:
        file.seek(position)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:], "big")
        if len(head) < 8 or length < 8:  # garbage, or a last box that reaches to the end
            break
        position += length
        if head[4:8] in (b"moov", b"moof", b"mdat"):  # nothing else matters
            size = position
    return size


def _matroska_size(file, head: bytes) -> int | None:
    """The same for Matroska and WebM: end of the segment, which follows the EBML header (RFC 8794, 8795)."""
    if head[:4] != EBML_ID:
        return None
    file.seek(4)
    file.seek(_ebml_length(file)[0], os.SEEK_CUR)
    if file.read(4) != SEGMENT_ID:
        return 0
    length, unknown = _ebml_length(file)
    return 0 if unknown else file.tell() + length


def _ebml_length(file) -> tuple[int, bool]:
    """A variable-length integer, and whether it stands for "unknown"."""
    first = file.read(1)[0:1] or b"\x80"
    extra = 8 - first[0].bit_length()
    data = int.from_bytes(first + file.read(extra), "big")
    length = data & (1 << 7 * (extra + 1)) - 1
    return length, length == (1 << 7 * (extra + 1)) - 1


def _riff_size(file, head: bytes) -> int | None:
    """The same for AVI: end of the first RIFF chunk, if its writer could go back and fill it in."""
    if head[:4] != b"RIFF":
        return None
    length = int.from_bytes(head[4:8], "little")
    return 0 if length == 2**32 - 1 else 8 + length


def _asf_size(file, head: bytes) -> int | None:
    """The same for ASF: what the file properties object says, where it does (ASF specification 3.2)."""
    if head != ASF_HEADER_ID:
        return None
    file.seek(0)
    header = file.read(1 << 16)
    at = header.find(ASF_FILE_PROPERTIES_ID)
    return int.from_bytes(header[at + 40 : at + 48], "little") if at >= 0 else 0


def _flv_size(file, head: bytes) -> int | None:
    """The same for FLV, whose head says nothing of the rest."""
    return 0 if head[:3] == b"FLV" else None


def _ogg_size(file, head: bytes) -> int | None:
    return 0 if head[:4] == b"OggS" else None


def _program_stream_size(file, head: bytes) -> int | None:
    """The same for MPEG program streams, which begin with a pack header (ISO/IEC 13818-1, 2.5.3)."""
    return 0 if head[:4] == PACK_HEADER else None


def _transport_stream_size(file, head: bytes) -> int | None:
    """The same for MPEG transport streams: whole packets of 188 bytes (2.4.3), on Blu-ray with 4 bytes before each, in
    broadcasts with 16 behind it. A part of a stream may begin inside of a packet, and end anywhere.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    data = np.frombuffer(file.read(RESYNC_BYTES), np.uint8)
    begins = (data[:-3] == SYNC_BYTE) & (data[3:] & 0x30 > 0)  # a packet has a payload, an adaptation field or both
    for before, length in ((0, 188), (4, 192), (0, 204)):
        found = begins[before : 3 * length : length]
        if len(found) and found.all():
            return -(-size // length) * length
    for length in (188, 192, 204):
        places = max(0, len(begins) - (PACKETS_IN_A_ROW - 1) * length)
        in_a_row = [begins[k * length : k * length + places] for k in range(PACKETS_IN_A_ROW)]
        if np.logical_and.reduce(in_a_row).any():
            return 0
    return None


DECLARED_SIZE = {
    "mp4": _iso_media_size,
    "mov": _iso_media_size,
    "matroska": _matroska_size,
    "avi": _riff_size,
    "asf": _asf_size,
    "flv": _flv_size,
    "ogg": _ogg_size,
    "mpeg": _program_stream_size,
    "mpegts": _transport_stream_size,
}
"""Demuxer -> the function that says how long a file must be, or that it is none of its files."""
