"""What the headers of H.264 say of lost pictures, of single fields, of the order of pictures, of new parameters, and of
messages that FFmpeg acts on.

Source: ITU-T H.264 7.3.2.1, 7.3.2.2, 7.3.3, 8.2.1.1.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from pipelines.decode.bitstream.bits import Bits, same_unit, unescaped, unit_at
from pipelines.decode.bitstream.sei import USER_DATA, alters_pictures, messages

SLICE, IDR_SLICE, SEI, SPS, PPS = 1, 5, 6, 7, 8
X264 = re.compile(rb".{16}x264 - core (\d+)", re.DOTALL)  # its build, after an identifier
STANDARD_X264, STANDARD_X264_444 = 34, 151  # builds as of which FFmpeg decodes x264's streams by the standard
HIGH_444 = 244  # profile
WITH_CHROMA_FORMAT = (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135)  # profiles
SLICE_BYTES = 16  # of a slice's header, more than what is read of it
PARAMETER_BYTES = 1024  # of a parameter set, also one with scaling lists


class Sequence(NamedTuple):
    """What a sequence parameter set says of the headers of slices."""

    frame_num_bits: int
    fields: bool  # pictures may be single fields
    color_planes: bool
    order_bits: int  # of the picture order count; 0: it is not in the slices' headers
    as_decoded: bool  # pictures are shown in the order of decoding
    plain: bool  # neither fields nor color planes


class SliceReader:
    """Reads a stream from its first packet on; what it does not understand it takes for being in order.

    extradata: what the container holds for the decoder.
    """

    def __init__(self, extradata: bytes):
        # Of the last packet: IDR pictures so far, and the picture order count (8.2.1.1).
        self.order: tuple[int, int] | None = None
        self._sequences: dict[int, Sequence] = {}
        self._sequence_of: dict[int, int] = {}  # picture parameter set -> sequence parameter set
        self.last_frame_num: int | None = None  # of reference pictures
        self._last_order = self._idr_pictures = self._pictures = 0
        self._known: dict[int, bytes] = {}  # sequence parameter set -> the bytes that stand for it
        self._standard_x264 = STANDARD_X264
        if extradata[:1] == b"\1":
            for unit in _units_of_avcc(extradata):
                self._keep_parameters(unit)

    def in_order(self, data: memoryview, units: list[int]) -> bool:
        """Whether a packet holds one whole frame, no reference picture before it is missing, no sequence parameter set
        is replaced by another one, and no message has FFmpeg alter pictures or decode them by other rules.

        units: where in the packet its units begin.
        """
        frames = fields = 0
        complete, current, sequence, self.order = True, None, None, None
        for number, at in enumerate(units):
            kind = data[at] & 31
            if kind in (SLICE, IDR_SLICE):
                if frames and not (sequence and sequence.fields):
                    continue  # another slice of the same picture
                found = self.read_slice(data[at + 1 : at + SLICE_BYTES], kind)
                if found is None or found == current:
                    continue
                sequence, frame_num, field, _, order = current = found
                frames, fields = frames + (not field), fields + field
                complete &= self._follow(sequence, frame_num, order, kind == IDR_SLICE, data[at] & 0x60 > 0)
            elif kind in (SPS, PPS):
                complete &= self._keep_parameters(unit_at(data, units, number))
            elif kind == SEI:
                complete &= self._is_standard(unit_at(data, units, number))
        return complete and (frames, fields) in ((0, 0), (1, 0), (0, 2))

    def _is_standard(self, unit: bytes) -> bool:
        """Whether messages alter no pictures, and name no encoder whose mistakes FFmpeg follows from there on."""
        for kind, content in messages(unit[1:]):
            build = X264.match(content) if kind == USER_DATA else None
            if alters_pictures(kind, content) or (build and int(build[1]) < self._standard_x264):
                return False
        return True

    def _follow(self, sequence: Sequence, frame_num: int, order: int, idr: bool, reference: bool) -> bool:
        """Note the next picture; whether no reference picture before it is missing."""
        if idr:
            self.last_frame_num, self._last_order = frame_num, 0
            self._idr_pictures += 1
        before = frame_num if self.last_frame_num is None else self.last_frame_num
        if sequence.order_bits:
            size = 1 << sequence.order_bits
            order = self._last_order + (order - self._last_order + size // 2) % size - size // 2
            if self.order is None:
                self.order = self._idr_pictures, order
        elif sequence.as_decoded:
            self._pictures += 1
            self.order = self._idr_pictures, self._pictures
        if reference:
            self.last_frame_num, self._last_order = frame_num, order
        return (frame_num - before) % (1 << sequence.frame_num_bits) < 2

    def sequence(self, parameters: int) -> Sequence | None:
        """What a picture parameter set is used with."""
        return self._sequences.get(self._sequence_of.get(parameters, -1))

    def read_slice(self, header: memoryview, kind: int) -> tuple[Sequence, int, int, int, int] | None:
        """The sequence, frame_num, whether it is of a field and of the bottom one, and the picture order count, modulo
        2 to the power of `order_bits`: the same in all slices of a picture. Numbers are read by hand, for speed.
        """
        data = unescaped(header)
        value, left = int.from_bytes(data, "big"), 8 * len(data)
        try:
            parameters, length = BEGINNINGS[data[0]] or _beginning(value, left)
            left -= length
            value &= (1 << left) - 1
            sequence = self._sequences[self._sequence_of[parameters]]
            if sequence.plain and kind == SLICE:
                bits = sequence.frame_num_bits + sequence.order_bits
                both = value >> left - bits
                return sequence, both >> sequence.order_bits, 0, 0, both & (1 << sequence.order_bits) - 1
            rest = Bits(value, left)
            if sequence.color_planes:
                rest.read(2)
            frame_num = rest.read(sequence.frame_num_bits)
            field = rest.read(1) if sequence.fields else 0
            bottom = rest.read(1) if field else 0
            if kind == IDR_SLICE:
                rest.golomb()
            return sequence, frame_num, field, bottom, rest.read(sequence.order_bits)
        except (KeyError, ValueError, IndexError):
            return None

    def _keep_parameters(self, unit: bytes) -> bool:
        """Whether a sequence parameter set is new or the same as before."""
        bits = Bits.of(unit[1:PARAMETER_BYTES])
        try:
            if unit[0] & 31 == PPS:
                number, its_sequence = bits.golomb(), bits.golomb()
                self._sequence_of[number] = its_sequence
            elif unit[0] & 31 == SPS:
                number, sequence = _read_sequence(bits)
                self._sequences[number] = sequence
                if unit[1] == HIGH_444:
                    self._standard_x264 = STANDARD_X264_444
                return same_unit(unit, self._known.setdefault(number, unit))
        except ValueError:
            pass
        return True


def _beginning(value: int, left: int) -> tuple[int, int]:
    """The picture parameter set that a slice's header of `left` bits names, and the length of what stands before the
    rest: place, type and this name, in bits. ValueError: they do not end there."""
    bits = Bits(value, left)
    _, _, parameters = bits.golomb(), bits.golomb(), bits.golomb()
    return parameters, left - bits.left


def _beginning_of_byte(byte: int) -> tuple[int, int] | None:
    try:
        return _beginning(byte, 8)
    except ValueError:
        return None


BEGINNINGS = [_beginning_of_byte(byte) for byte in range(256)]
"""`_beginning` where it ends in the header's first byte, as of most pictures of one slice."""


def _read_sequence(bits: Bits) -> tuple[int, Sequence]:
    """Number and content of a sequence parameter set; ValueError: it is none."""
    profile, _, number = bits.read(8), bits.read(16), bits.golomb()
    planes = False
    if profile in WITH_CHROMA_FORMAT:
        chroma = bits.golomb()
        planes = chroma == 3 and bits.read(1) == 1
        bits.golomb(), bits.golomb(), bits.read(1)
        if bits.read(1):  # scaling lists
            for k in range(12 if chroma == 3 else 8):
                if bits.read(1):
                    _skip_scaling_list(bits, 16 if k < 6 else 64)
    frame_num_bits = bits.golomb() + 4
    kind = bits.golomb()
    order_bits = 0
    if kind == 0:
        order_bits = bits.golomb() + 4
    elif kind == 1:
        bits.read(1), bits.golomb(), bits.golomb()
        for _ in range(min(bits.golomb(), 255)):
            bits.golomb()
    bits.golomb(), bits.read(1), bits.golomb(), bits.golomb()
    if max(frame_num_bits, order_bits) > 16:
        raise ValueError
    fields = bits.read(1) == 0
    return number, Sequence(frame_num_bits, fields, planes, order_bits, kind == 2, plain=not (fields or planes))


def _skip_scaling_list(bits: Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            code = bits.golomb()
            following = (last + ((code + 1) // 2 if code % 2 else -(code // 2))) % 256
        last = following or last


def _units_of_avcc(extradata: bytes) -> Iterator[bytes]:
    position = 5
    for mask in (31, 255):  # sequence and picture parameter sets
        count = extradata[position] & mask if position < len(extradata) else 0
        position += 1
        for _ in range(count):
            size = int.from_bytes(extradata[position : position + 2], "big")
            if size and position + 2 + size <= len(extradata):
                yield extradata[position + 2 : position + 2 + size]
            position += 2 + size
