"""The sample table of a plain MP4 or MOV file: where its coded pictures lie and when they are shown.

FFmpeg takes some milliseconds to open a file, because it looks at the streams themselves; to read what a plain file
says of itself takes less than one. For any file that is not plain, or not as it should be, the answer is None: then
FFmpeg's demuxer is to be asked. Boxes: ISO/IEC 14496-12; sample entries of H.264 and HEVC: ISO/IEC 14496-15.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

CODECS = {b"avc1": ("h264", b"avcC"), b"hvc1": ("hevc", b"hvcC"), b"hev1": ("hevc", b"hvcC")}
"""Kind of sample entry -> FFmpeg's name of the codec, and the box that holds what its decoder must know."""
UPRIGHT = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
"""Matrix of a movie or track that is shown as it is (8.2.2.2, 8.3.2.2)."""
COPY_MARK = b"training copy: single pictures in closed groups, in the order shown"
"""Comment in the file of a training copy whose pictures can be told from its table. See `demux_plain`."""
LARGEST_OFFSET = 1 << 28
"""Ticks between decoding and showing a picture; FFmpeg holds more for a mistake."""

Boxes = dict[bytes, list[memoryview]]


class SampleTable(NamedTuple):
    """The coded pictures of a file's only video track, in decoding order. Letter: N pictures."""

    codec: str  # FFmpeg's name of the format
    extradata: bytes  # what the decoder must know: avcC or hvcC
    offsets: np.ndarray  # of the first byte in the file, int64 (N,)
    sizes: np.ndarray  # bytes, int64 (N,)
    pts: np.ndarray  # when the picture is shown, in ticks of the track, int64 (N,)
    starts: np.ndarray | None  # of a file with COPY_MARK: whether decoding may start at the picture, bool (N,)


class _NotPlainError(Exception):
    """Something for FFmpeg's demuxer."""


def sample_table(data: bytes) -> SampleTable | None:
    """The table of a whole file in memory; None where the file is not plain.

    Plain: one video track of H.264 or HEVC whose samples lie in the file itself, neither in fragments nor encrypted,
    not turned, mirrored or cropped, and no edit list that would hide a picture.
    """
    try:
        return _sample_table(memoryview(data))
    except (_NotPlainError, KeyError, IndexError, ValueError, ArithmeticError, struct.error):
        return None


def _sample_table(data: memoryview) -> SampleTable:
    top = _boxes(data)
    movie = _boxes(_only(top, b"moov"))
    _demand(b"moof" not in top and b"mvex" not in movie and b"cmov" not in movie)  # nothing else may hold samples
    header = _only(movie, b"mvhd")
    movie_clock = _uint32(header, 20 if header[0] else 12)
    tracks = [_boxes(track) for track in movie[b"trak"]]
    videos = [track for track in tracks if _handler(track) == b"vide"]
    _demand(len(videos) == 1 and _upright(header, 36) and _upright(_only(videos[0], b"tkhd"), 40))

    media = _boxes(_only(videos[0], b"mdia"))
    information = _boxes(_only(media, b"minf"))
    _demand(_in_this_file(_boxes(_only(information, b"dinf"))))
    table = _boxes(_only(information, b"stbl"))
    codec, extradata = _description(_only(table, b"stsd"))
    sizes = _sizes(_only(table, b"stsz"))
    offsets = _offsets(table, sizes)
    _demand(len(sizes) > 0 and offsets.min() > 0 and (offsets + sizes).max() <= len(data))

    clock = _only(media, b"mdhd")
    pts = _shown_times(table, len(sizes))
    _demand(_nothing_hidden(videos[0], pts, _uint32(clock, 20 if clock[0] else 12), movie_clock))
    starts = _starts(table, len(sizes)) if any(COPY_MARK in bytes(box) for box in movie.get(b"udta", ())) else None
    return SampleTable(codec, extradata, offsets, sizes, pts, starts)


def _boxes(data: memoryview) -> Boxes:
    """The boxes that follow each other in `data`, by kind: what stands after size and kind."""
    found: Boxes = {}
    position = 0
    while position + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        start = position + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, start)
            start += 8
        elif size == 0:
            size = len(data) - position
        _demand(start <= position + size <= len(data))
        found.setdefault(kind, []).append(data[start : position + size])
        position += size
    return found


def _only(boxes: Boxes, kind: bytes) -> memoryview:
    (box,) = boxes[kind]
    return box


def _demand(is_plain: bool | np.bool_) -> None:
    if not is_plain:
        raise _NotPlainError


def _uint32(data: memoryview, position: int) -> int:
    return struct.unpack_from(">I", data, position)[0]


def _handler(track: Boxes) -> bytes:
    """What kind of media a track holds."""
    return bytes(_only(_boxes(_only(track, b"mdia")), b"hdlr")[8:12])


def _upright(header: memoryview, matrix_at: int) -> bool:
    """Whether the matrix of a movie or track header (mvhd, tkhd) turns and mirrors nothing."""
    at = matrix_at + (12 if header[0] else 0)
    return header[at : at + 36] == UPRIGHT


def _in_this_file(information: Boxes) -> bool:
    """Whether all data references lead to this file (8.7.2)."""
    references = _boxes(_only(information, b"dref")[8:])
    return all(box[3] & 1 for boxes in references.values() for box in boxes)


def _description(descriptions: memoryview) -> tuple[str, bytes]:
    """Codec and extradata of the only sample entry."""
    ((kind, (entry,)),) = _boxes(descriptions[8:]).items()
    codec, configuration = CODECS[kind]
    inside = _boxes(entry[78:])
    _demand(b"clap" not in inside)
    _demand(all(bytes(box[:4]) != b"nclx" or not box[10] >> 7 for box in inside.get(b"colr", ())))  # full range
    return codec, bytes(_only(inside, configuration))


def _sizes(box: memoryview) -> np.ndarray:
    """Bytes of each sample; one size for all of them, as audio has it, is not that of coded pictures (8.7.3)."""
    _demand(_uint32(box, 4) == 0)
    sizes = np.frombuffer(box, ">u4", _uint32(box, 8), 12).astype(np.int64)
    _demand(sizes.all())
    return sizes


def _offsets(table: Boxes, sizes: np.ndarray) -> np.ndarray:
    """Where each sample begins: they lie one after another in chunks (8.7.4, 8.7.5)."""
    if b"stco" in table:
        chunks = _column(_only(table, b"stco"), ">u4", 1)[:, 0]
    else:
        chunks = _column(_only(table, b"co64"), ">u8", 1)[:, 0]
    runs = _column(_only(table, b"stsc"), ">u4", 3)  # first chunk, samples in each chunk, description
    first = runs[:, 0] - 1
    _demand(first[0] == 0 and (runs[:, 2] == 1).all())
    lengths = np.diff(np.append(first, len(chunks)))
    _demand((lengths > 0).all() and (lengths * runs[:, 1]).sum() == len(sizes))
    per_chunk = np.repeat(runs[:, 1], lengths)
    first_sample = np.cumsum(per_chunk) - per_chunk
    before = np.cumsum(sizes) - sizes  # bytes of all samples before
    return np.repeat(chunks - before[first_sample], per_chunk) + before


def _shown_times(table: Boxes, count: int) -> np.ndarray:
    """Time of decoding plus offset, of each sample (8.6.1)."""
    steps = _run_lengths(_only(table, b"stts"), ">u4", count)
    times = np.cumsum(steps) - steps
    if b"ctts" in table:
        offsets = _run_lengths(_only(table, b"ctts"), ">i4", count)
        _demand(np.abs(offsets).max() <= LARGEST_OFFSET)
        times = times + offsets
    return times


def _starts(table: Boxes, count: int) -> np.ndarray:
    """Which samples are listed as random access points; without a list, all are (8.6.2)."""
    if b"stss" not in table:
        return np.ones(count, bool)
    return np.isin(np.arange(1, count + 1), _column(_only(table, b"stss"), ">u4", 1))


def _run_lengths(box: memoryview, kind: str, count: int) -> np.ndarray:
    """Pairs of repeats and value -> int64 (count,)."""
    repeats = _column(box, ">u4", 2)[:, 0]
    _demand(repeats.sum() == count)  # also keeps a file from asking for more memory than its samples have bytes
    return np.repeat(_column(box, kind, 2)[:, 1], repeats)


def _column(box: memoryview, kind: str, columns: int) -> np.ndarray:
    """The table after version, flags and number of rows: int64 (rows, columns)."""
    rows = _uint32(box, 4)
    _demand(rows > 0)
    return np.frombuffer(box, kind, rows * columns, 8).astype(np.int64).reshape(rows, columns)


def _nothing_hidden(track: Boxes, pts: np.ndarray, clock: int, movie_clock: int) -> bool:
    """Whether the edit list, if there is one, shows every picture: all of the track, perhaps after a delay (8.6.6)."""
    if b"edts" not in track:
        return True
    (shown,) = [edit for edit in _edits(_only(_boxes(_only(track, b"edts")), b"elst")) if edit[1] != -1]
    duration, start, rate = shown
    end = start + duration * clock // movie_clock - clock // movie_clock - 1  # durations are rounded
    return rate == 1 << 16 and start <= pts.min() and pts.max() < end


def _edits(box: memoryview) -> Iterator[tuple[int, int, int]]:
    """Duration (ticks of the movie), start (ticks of the track; -1: nothing is shown), rate (1 << 16: as it is)."""
    entry = ">Qqi" if box[0] else ">Iii"
    return struct.iter_unpack(entry, box[8 : 8 + _uint32(box, 4) * struct.calcsize(entry)])
