"""What the header of a coded picture says about it: random access, reference, shown or not.

Read from the bitstream, because a container marks as keyframes also pictures at which an exact decode cannot begin
(open groups of pictures, intra refresh). Sources: H.264: ITU-T H.264 7.3.1, 7.4.1; HEVC: ITU-T H.265 7.3.1, 7.4.2.2;
avcC and hvcC: ISO/IEC 14496-15; VP8: RFC 6386 9.1; VP9: VP9 bitstream specification 6.2 and annex B; AV1: AV1 bitstream
specification 5.3, 5.9.2; MPEG-4: ISO/IEC 14496-2 6.2; JPEG: ITU-T T.81 B.2.4.
"""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import NamedTuple

from pipelines.decode.bitstream import h264, hevc

START_CODE = b"\0\0\1"
DELIMITER = 9  # type of an H.264 unit
ANY_SLICES = bytes([DELIMITER, 0xF0])  # such a unit, before a picture of slices of any type
RASL_N, RASL_R, BLA_W_RADL, CRA, END_OF_SEQUENCE, END_OF_STREAM = 8, 9, 17, 21, 36, 37  # types of HEVC units
SEQUENCE_HEADER, FRAME_HEADER, FRAME = 1, 3, 6  # types of AV1's units
MPEG4_PICTURE, MPEG4_LAYER = b"\0\0\1\xb6", re.compile(b"\0\0\1[\x20-\x2f]")
MPEG4_USER_DATA = re.compile(b"\0\0\1\xb2(.*?)(?=\0\0\1|$)", re.DOTALL)
JPEG_QUANTISATION, JPEG_CODES = b"\xff\xdb", b"\xff\xc4"  # tables
NO_OUTPUT_OF_PRIOR = 0x40  # bit of the first byte of a slice's header, of random access points only
SMALLEST_MPEG4_PICTURE = 16  # bytes; less may be a picture that is "not coded" (DivX, Xvid), which yields no frame


class Header(NamedTuple):
    """What one packet says. Unless a codec's header says otherwise, it is one frame, and later packets need it."""

    shown: bool | None = True  # holds a picture that is shown; None: only a decode can tell
    start: bool = False  # random access point
    broken_link: bool = False  # random access point whose leading pictures are never shown
    leading: bool = False  # leading picture that cannot be decoded from its random access point
    may_lead: bool = False  # is such a picture if it is shown before its random access point
    reference: bool = True  # pictures of its layer may be predicted from it
    parameters: bool = False  # carries parameter sets
    all_parameters: bool = False  # carries all that a decoder needs to begin
    layer: int = 0  # temporal layer
    discards: bool = False  # a random access point that may take away pictures decoded before, but not shown yet
    order: tuple[int, ...] | None = None  # in which pictures are shown: sequence, count in it, of HEVC also its modulus
    ends: bool = False  # the next picture begins a sequence of its own


def header_reader(codec: str, extradata: bytes) -> Callable[[memoryview, bool], Header]:
    """The function (packet's bytes, container's keyframe flag) -> Header of a codec (FFmpeg's name of the format).

    extradata: what the container holds for the decoder (avcC, hvcC, parameter sets or nothing).
    """
    if codec == "h264":
        return h264_reader(extradata)[0]
    if codec == "hevc":
        return partial(_hevc, _unit_finder(extradata, 21), hevc.SliceReader(extradata))
    if codec == "mpeg4":
        return partial(_mpeg4, set(MPEG4_USER_DATA.findall(extradata)), set())
    return {"vp8": _vp8, "vp9": _vp9, "av1": _av1, "mjpeg": _mjpeg}.get(codec, _unknown)


def h264_reader(extradata: bytes) -> tuple[Callable[[memoryview, bool], Header], h264.SliceReader]:
    """The same function for H.264, and what it knows of the packets that it has read."""
    slices = h264.SliceReader(extradata)
    return partial(_h264, _unit_finder(extradata, 4), slices), slices


def break_link(data: bytes, extradata: bytes) -> bytes:
    """An HEVC packet whose clean random access picture (CRA) says that the packets before it are gone (BLA_W_RADL).

    Otherwise a decoder would work out when to show the picture from packets that are no longer there.
    """
    changed = bytearray(data)
    for at in _unit_finder(extradata, 21)(memoryview(data)):
        if data[at] >> 1 & 63 == CRA:
            changed[at] = data[at] & 0x81 | BLA_W_RADL << 1
            if data[at + 2] & 0x80:  # the picture's first slice: of a CRA, what it says of prior pictures had no effect
                changed[at + 2] &= ~NO_OUTPUT_OF_PRIOR
    return bytes(changed)


def delimit(data: bytes, extradata: bytes) -> bytes:
    """An H.264 packet that begins with an access unit delimiter (ITU-T H.264 7.3.2.4).

    Without one, a parser may take IDR pictures that follow each other for one picture: their headers differ in
    idr_pic_id alone (7.4.1.2.4), which encoders count modulo 2.
    """
    units = _unit_finder(extradata, 4)(memoryview(data))
    if units and data[units[0]] & 31 == DELIMITER:
        return data
    length_size = _length_size(extradata, 4)
    before = len(ANY_SLICES).to_bytes(length_size, "big") if length_size else b"\0" + START_CODE
    return before + ANY_SLICES + data


def _h264(find_units: Callable, slices: h264.SliceReader, data: memoryview, keyframe: bool) -> Header:
    found = find_units(data)
    in_order = slices.in_order(data, found)
    return _h264_units(bytes([data[at] for at in found]), in_order, slices.order)


@lru_cache(maxsize=16384)
def _h264_units(heads: bytes, in_order: bool, order: tuple[int, ...] | None) -> Header:
    """heads: the first byte of each unit. Most packets of all streams have the same few, in the same places.

    in_order: not so are a field, whose frame has two packets, what follows a lost picture, and what changes parameters.
    """
    pictures = [head for head in heads if 1 <= head & 31 <= 5]
    return Header(
        shown=True if pictures and in_order else None,
        start=any(head & 31 == 5 for head in pictures),
        reference=any(head & 0x60 for head in pictures),
        parameters=any(head & 31 in (7, 8) for head in heads),
        all_parameters={7, 8} <= {head & 31 for head in heads},
        order=order,
    )


def _hevc(find_units: Callable, slices: hevc.SliceReader, data: memoryview, keyframe: bool) -> Header:
    found = find_units(data)
    slices.read(data, found)
    heads = b"".join([data[at : at + 3].tobytes().ljust(3, b"\0") for at in found])
    return _hevc_units(heads, slices.shown, slices.order)


@lru_cache(maxsize=16384)
def _hevc_units(heads: bytes, shown: bool | None, order: tuple[int, ...] | None) -> Header:
    """heads: the first three bytes of each unit."""
    heads_of_units = zip(heads[::3], heads[1::3], heads[2::3], strict=True)
    units = [
        (first >> 1 & 63, (second & 7) - 1, third)
        for first, second, third in heads_of_units
        if not (first & 1 or second >> 3)
    ]
    types = [kind for kind, _, _ in units]  # of the base layer
    picture = next((k for k, kind in enumerate(types) if kind < 32), None)
    if picture is None:
        return Header(shown=None, parameters=True)
    kind, layer, third = units[picture]
    return Header(
        shown=shown,
        start=16 <= kind <= 21,
        broken_link=16 <= kind <= 18,
        leading=kind in (RASL_N, RASL_R),
        reference=kind > 14 or kind % 2 == 1,
        parameters=any(32 <= kind <= 34 for kind in types),
        all_parameters={32, 33, 34} <= set(types),
        layer=layer,
        discards=16 <= kind < CRA and bool(third & NO_OUTPUT_OF_PRIOR),
        order=order,
        ends=END_OF_SEQUENCE in types or END_OF_STREAM in types,
    )


def _vp8(data: memoryview, keyframe: bool) -> Header:
    return Header(shown=bool(data[0] & 16), start=not data[0] & 1)


def _vp9(data: memoryview, keyframe: bool) -> Header:
    superframe = data[-1] & 0xE0 == 0xC0  # hidden pictures and the one that is shown after them
    profile = data[0] >> 5 & 1 | data[0] >> 3 & 2
    bits = data[0] << 1 if profile == 3 else data[0]
    show_existing, inter, show = bits & 8, bits & 4, bits & 2
    return Header(shown=bool(superframe or show_existing or show), start=not (show_existing or inter))


def _av1(data: memoryview, keyframe: bool) -> Header:
    shown = sum(_av1_pictures(data))
    return Header(shown=bool(shown) if shown < 2 else None, start=keyframe)


def _av1_pictures(data: memoryview) -> Iterator[bool]:
    """Of each picture of a packet whether it is shown."""
    position, still = 0, False
    while position < len(data):
        head = data[position]
        position += 2 if head & 4 else 1
        size = shift = 0
        while head & 2 and position < len(data) and shift < 56:
            byte = data[position]
            position, size, shift = position + 1, size | (byte & 127) << shift, shift + 7
            if byte < 128:
                break
        end = position + size if head & 2 else len(data)
        if head >> 3 & 15 in (FRAME_HEADER, FRAME) and position < len(data):
            yield still or data[position] & 0x90 > 0  # an earlier picture, or this one
        elif head >> 3 & 15 == SEQUENCE_HEADER and position < len(data):
            still = data[position] & 8 > 0  # headers of pictures are reduced: all are shown
        position = end


def _mpeg4(known: set[bytes], named: set[bytes], data: memoryview, keyframe: bool) -> Header:
    """known: what the container's parameters say of encoders, by which FFmpeg chooses how to decode from there on.
    named: what the stream has said of them beside that; added to here.
    """
    stream = bytes(data)
    pictures = stream.split(MPEG4_PICTURE)
    kind = pictures[1][0] >> 6 if len(pictures) == 2 and pictures[1] else None
    layer = MPEG4_LAYER.search(stream) is not None
    names = set(MPEG4_USER_DATA.findall(stream)) - known
    named |= names
    return Header(
        shown=True if kind is not None and len(data) > SMALLEST_MPEG4_PICTURE else None,
        start=kind == 0,
        may_lead=kind == 2,
        parameters=layer or bool(names),
        all_parameters=layer and names == named,
    )


def _mjpeg(data: memoryview, keyframe: bool) -> Header:
    picture = bytes(data)
    tables, codes = JPEG_QUANTISATION in picture, JPEG_CODES in picture  # without its own it needs those before
    return Header(start=tables, reference=tables or codes, parameters=codes, all_parameters=tables and codes)


def _unknown(data: memoryview, keyframe: bool) -> Header:
    return Header(shown=None)


def _unit_finder(extradata: bytes, length_at: int) -> Callable[[memoryview], list[int]]:
    """The function that finds where in a packet the network abstraction layer units begin (at least two bytes each).

    length_at: where avcC or hvcC says how long the units' length fields are.
    """
    length_size = _length_size(extradata, length_at)
    return partial(_units_with_length, length_size) if length_size else _units_with_start_code


def _length_size(extradata: bytes, length_at: int) -> int:
    """Bytes of the units' length fields; 0: units begin with start codes."""
    return (extradata[length_at] & 3) + 1 if extradata[:1] == b"\1" and len(extradata) > length_at else 0


def _units_with_length(length_size: int, data: memoryview) -> list[int]:
    found, position, last = [], 0, len(data) - length_size - 2
    while position <= last:
        begin = position + length_size
        found.append(begin)
        position = begin + int.from_bytes(data[position:begin], "big")
    return found


def _units_with_start_code(data: memoryview) -> list[int]:
    stream, found = bytes(data), []
    begin = stream.find(START_CODE) + 3
    while 3 <= begin <= len(stream) - 2:
        found.append(begin)
        begin = stream.find(START_CODE, begin) + 3
    return found
