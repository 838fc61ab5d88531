"""What the header of a coded picture says about it: random access, reference, shown or not.

Read from the bitstream, because a container marks as keyframes also pictures at which an exact decode cannot begin
(open groups of pictures, intra refresh). Sources: H.264: ITU-T H.264 7.3.1, 7.4.1; HEVC: ITU-T H.265 7.3.1, 7.4.2.2;
avcC and hvcC: ISO/IEC 14496-15; VP8: RFC 6386 9.1; VP9: VP9 bitstream specification 6.2 and annex B.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

START_CODE = b"\0\0\1"
BLA_W_RADL, CRA = 17, 21  # types of HEVC units


class Header(NamedTuple):
    """What one packet says. Unless a codec's header says otherwise, later packets need it and it is one frame."""

    pts: int | None = None  # when the picture is shown, in ticks
    discard: bool = False  # hidden by the container (edit list)
    shown: bool | None = True  # holds a picture that is shown; None: only a decode can tell
    start: bool = False  # random access point
    broken_link: bool = False  # random access point whose leading pictures are never shown
    leading: bool = False  # leading picture that cannot be decoded from its random access point
    may_lead: bool = False  # is such a picture if it is shown before its random access point
    reference: bool = True  # pictures of its layer may be predicted from it
    parameters: bool = False  # carries parameter sets
    layer: int = 0  # temporal layer


def header_reader(codec: str, extradata: bytes) -> Callable[[memoryview, bool], Header]:
    """The function (packet's bytes, container's keyframe flag) -> Header of a codec (FFmpeg's name of the format).

    extradata: what the container holds for the decoder (avcC, hvcC, parameter sets or nothing).
    """
    if codec == "h264":
        return partial(_h264, _unit_splitter(extradata, 4))
    if codec == "hevc":
        return partial(_hevc, _unit_splitter(extradata, 21))
    return {"vp8": _vp8, "vp9": _vp9, "av1": _av1, "mpeg4": _mpeg4, "mjpeg": _mjpeg}.get(codec, _unknown)


def break_link(data: bytes, extradata: bytes) -> bytes:
    """An HEVC packet whose clean random access picture (CRA) says that the packets before it are gone (BLA_W_RADL).

    Otherwise a decoder would count the picture's place in the order of showing on from packets that are no longer there.
    """
    changed = bytearray(data)
    for unit in _unit_splitter(extradata, 21)(memoryview(changed)):
        if unit[0] >> 1 & 63 == CRA:
            unit[0] = unit[0] & 0x81 | BLA_W_RADL << 1
    return bytes(changed)


def _h264(units: Callable, data: memoryview, keyframe: bool) -> Header:
    heads = [unit[0] for unit in units(data)]
    pictures = [head for head in heads if 1 <= head & 31 <= 5]
    return Header(
        shown=True if pictures else None,
        start=any(head & 31 == 5 for head in pictures),
        reference=any(head & 0x60 for head in pictures),
        parameters=any(head & 31 in (7, 8) for head in heads),
    )


def _hevc(units: Callable, data: memoryview, keyframe: bool) -> Header:
    heads = [(unit[0] >> 1 & 63, unit[1] & 7) for unit in units(data) if not (unit[0] & 1 or unit[1] >> 3)]  # layer 0
    pictures = [head for head in heads if head[0] < 32]
    kind, layer = pictures[0] if pictures else (0, 1)
    return Header(
        shown=True if pictures else None,
        start=16 <= kind <= 21,
        broken_link=16 <= kind <= 18,
        leading=kind in (8, 9),
        reference=kind > 14 or kind % 2 == 1,
        parameters=any(32 <= head[0] <= 34 for head in heads),
        layer=layer - 1,
    )


def _vp8(data: memoryview, keyframe: bool) -> Header:
    return Header(shown=bool(data[0] & 16), start=not data[0] & 1)


def _vp9(data: memoryview, keyframe: bool) -> Header:
    superframe = data[-1] & 0xE0 == 0xC0  # hidden pictures with the one that is shown after them
    profile = data[0] >> 5 & 1 | data[0] >> 3 & 2
    bits = data[0] << 1 if profile == 3 else data[0]  # from bit 3: show_existing_frame, frame_type, show_frame
    show_existing, inter, show = bits & 8, bits & 4, bits & 2
    return Header(shown=bool(superframe or show_existing or show), start=not (show_existing or inter))


def _av1(data: memoryview, keyframe: bool) -> Header:
    return Header(start=keyframe)


def _mpeg4(data: memoryview, keyframe: bool) -> Header:
    # A picture of a few bytes may be one that is "not coded" (DivX, Xvid), which yields no frame.
    return Header(shown=True if len(data) > 16 else None, start=keyframe, may_lead=True)


def _mjpeg(data: memoryview, keyframe: bool) -> Header:
    return Header(start=True, reference=False)


def _unknown(data: memoryview, keyframe: bool) -> Header:
    return Header(shown=None)


def _unit_splitter(extradata: bytes, length_at: int) -> Callable[[memoryview], Iterator[memoryview]]:
    """The function that cuts a packet into network abstraction layer units (their first two bytes are given)."""
    if extradata[:1] == b"\1" and len(extradata) > length_at:
        return partial(_units_with_length, (extradata[length_at] & 3) + 1)
    return _units_with_start_code


def _units_with_length(length_size: int, data: memoryview) -> Iterator[memoryview]:
    position = 0
    while position + length_size + 2 <= len(data):
        begin = position + length_size
        yield data[begin : begin + 2]
        position = begin + int.from_bytes(data[position:begin], "big")


def _units_with_start_code(data: memoryview) -> Iterator[memoryview]:
    stream = bytes(data)
    begin = stream.find(START_CODE) + 3
    while 3 <= begin <= len(stream) - 2:
        yield data[begin : begin + 2]
        begin = stream.find(START_CODE, begin) + 3
