"""Checks of a JPEG file before a decoder gets it: libjpeg fills in what is missing instead of failing.

Only markers are read, which takes microseconds; the data between them is not decoded.
"""

import io
import re
from functools import cache

from PIL import Image

from pipelines.files.words import counted

START, END = b"\xff\xd8", b"\xff\xd9"
SOS = 0xDA  # start of a scan: after its header comes entropy-coded data
DECODABLE = {0xC0, 0xC1, 0xC2}  # frame headers: baseline, extended, progressive
FRAME_HEADERS = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # all but tables that share the range

# In entropy-coded data a byte 0xFF is followed by 0, by a restart marker, or by another 0xFF; else it is a marker.
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


class JpegError(ValueError):
    """A JPEG file that must not be decoded; the text says why."""


def check_jpeg(data: bytes) -> tuple[int, int]:
    """Height and width of a JPEG file that is there from its beginning to its end (ITU-T T.81, annex B).

    Raises:
        JpegError: empty, no JPEG, of a kind that the decoders do not know, cut short, or with a marker where none may
            be.
    """
    if not data:
        raise JpegError("holds no bytes")
    if not data.startswith(START):
        raise JpegError(f"is no JPEG file, it begins with {data[:8]!r}")
    size, scanned, position = None, False, 2
    while not (scanned and data.startswith(END, position)):
        marker, length = _segment(data, position)
        if marker in FRAME_HEADERS:
            size = _image_size(data, position, marker)
        position += 2 + length
        if marker == SOS:
            if size is None:
                raise JpegError("is damaged, it has no header that tells its size")
            found = _NEXT_MARKER.search(data, position)
            if found is None:
                raise JpegError(f"is cut short, {counted(len(data), 'byte')} without an end marker")
            scanned, position = True, found.start()
    assert size is not None  # there was a scan
    return size


def _segment(data: bytes, position: int) -> tuple[int, int]:
    """The marker at a position and the bytes that belong to it, its length field included."""
    if position + 4 > len(data):
        raise JpegError(f"is cut short, {counted(len(data), 'byte')} without an end marker")
    if data[position] != 0xFF:
        raise JpegError(f"is damaged, byte {position} should begin a marker")
    if data[position + 1] == 0xFF:  # markers may be preceded by any number of these
        return 0xFF, -1
    length = int.from_bytes(data[position + 2 : position + 4], "big")
    if length < 2:
        raise JpegError(f"is damaged, the segment at byte {position} has no length")
    return data[position + 1], length


def _image_size(data: bytes, position: int, marker: int) -> tuple[int, int]:
    header = data[position + 4 : position + 10]
    if len(header) < 6:
        raise JpegError(f"is cut short, {counted(len(data), 'byte')} without an end marker")
    if marker not in DECODABLE or header[0] != 8:
        raise JpegError("is a JPEG file of a rare kind (lossless, arithmetic or 12 bit); convert it")
    height, width = int.from_bytes(header[1:3], "big"), int.from_bytes(header[3:5], "big")
    if not height or not width:
        raise JpegError(f"is damaged, its header says {height} x {width} pixels")
    return height, width


@cache
def black_jpeg() -> bytes:
    """A black image, 16 x 16 pixels, to stand for what cannot be read."""
    output = io.BytesIO()
    Image.new("RGB", (16, 16)).save(output, "JPEG")
    return output.getvalue()
