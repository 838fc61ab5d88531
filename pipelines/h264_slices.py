"""What the slice headers of H.264 say of lost pictures, of single fields and of the order of pictures.

Source: ITU-T H.264 7.3.2.1, 7.3.2.2, 7.3.3, 8.2.1.1.
"""

from collections.abc import Iterable
from typing import NamedTuple

SLICE, IDR_SLICE, SPS, PPS = 1, 5, 7, 8
WITH_CHROMA_FORMAT = (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135)  # profiles
SLICE_BYTES = 16  # of a slice's header, more than what is read of it
PARAMETER_BYTES = 1024  # of a parameter set, also one with scaling lists


class _Sequence(NamedTuple):
    frame_num_bits: int
    fields: bool  # pictures may be single fields
    colour_planes: bool
    order_bits: int  # of the picture order count; 0: it is not in the slices' headers


class SliceReader:
    """Reads a stream from its first packet on; what it does not understand it takes for being in order."""

    def __init__(self, extradata: bytes):
        self.sequences: dict[int, _Sequence] = {}
        self.sequence_of: dict[int, int] = {}  # picture parameter set -> sequence parameter set
        self.last_reference: int | None = None  # frame_num
        self.last_order = 0  # picture order count of the last reference picture
        self.order: int | None = None  # that of the last packet's picture, counted from its IDR picture (8.2.1.1)
        if extradata[:1] == b"\1":
            for unit in _units_of_avcc(extradata):
                self._keep_parameters(unit)

    def in_order(self, units: Iterable[memoryview]) -> bool:
        """Whether a packet holds one whole frame, and no reference picture before it is missing."""
        frames = fields = 0
        gap, current, self.order = False, None, None
        for unit in units:
            kind = unit[0] & 31
            if kind in (SPS, PPS):
                self._keep_parameters(unit)
            elif kind in (SLICE, IDR_SLICE):
                if frames and not self.fields:
                    continue  # more slices of the same picture
                read = self._read_slice(unit)
                if read is None or read == current:
                    continue
                frame_num, field, _, low, order_size = current = read
                fields, frames = fields + field, frames + (not field)
                if kind == IDR_SLICE or self.last_reference is None:
                    self.last_reference = frame_num
                else:
                    sequence_size = 1 << self.frame_num_bits
                    gap |= (frame_num - self.last_reference) % sequence_size > 1
                if kind == IDR_SLICE:
                    self.last_order = 0
                order = None
                if order_size:
                    half = order_size // 2
                    order = self.last_order + (low - self.last_order + half) % order_size - half
                if self.order is None:
                    self.order = order
                if unit[0] & 0x60:
                    self.last_reference, self.last_order = frame_num, order or 0
        return not gap and (frames, fields) in ((0, 0), (1, 0), (0, 2))

    def _read_slice(self, unit: memoryview) -> tuple[int, bool, int, int, int] | None:
        """frame_num, whether the picture is a field, and the bottom one; its order count, modulo what (0: unknown)."""
        bits = _Bits(unit[1:SLICE_BYTES])
        try:
            bits.golomb(), bits.golomb()
            sequence = self.sequences[self.sequence_of[bits.golomb()]]
            bits.read(2 if sequence.colour_planes else 0)
            self.frame_num_bits, self.fields = sequence.frame_num_bits, sequence.fields
            frame_num = bits.read(sequence.frame_num_bits)
            field = sequence.fields and bits.read(1) == 1
            bottom = bits.read(1) if field else 0
            if unit[0] & 31 == IDR_SLICE:
                bits.golomb()
            return (
                frame_num,
                field,
                bottom,
                bits.read(sequence.order_bits),
                1 << sequence.order_bits if sequence.order_bits else 0,
            )
        except (KeyError, ValueError):
            return None

    def _keep_parameters(self, unit: bytes | memoryview) -> None:
        bits = _Bits(unit[1:PARAMETER_BYTES])
        try:
            if unit[0] & 31 == PPS:
                number, sequence = bits.golomb(), bits.golomb()
                self.sequence_of[number] = sequence
            elif unit[0] & 31 == SPS:
                number, sequence = _read_sequence(bits)
                self.sequences[number] = sequence
        except ValueError:
            pass


def _read_sequence(bits: "_Bits") -> tuple[int, _Sequence]:
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
    order = bits.golomb()
    order_bits = 0
    if order == 0:
        order_bits = bits.golomb() + 4
    elif order == 1:
        bits.read(1), bits.golomb(), bits.golomb()
        for _ in range(min(bits.golomb(), 255)):
            bits.golomb()
    bits.golomb(), bits.read(1), bits.golomb(), bits.golomb()
    if max(frame_num_bits, order_bits) > 16:
        raise ValueError
    return number, _Sequence(frame_num_bits, bits.read(1) == 0, planes, order_bits)


def _skip_scaling_list(bits: "_Bits", size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            code = bits.golomb()
            following = (last + ((code + 1) // 2 if code % 2 else -(code // 2))) % 256
        last = following or last


def _units_of_avcc(extradata: bytes) -> Iterable[bytes]:
    position = 6
    for count_at in (5, None):
        count = extradata[5:6] if count_at else extradata[position - 1 : position]
        for _ in range((count[0] & 31) if count else 0):
            size = int.from_bytes(extradata[position : position + 2], "big")
            if size and position + 2 + size <= len(extradata):
                yield extradata[position + 2 : position + 2 + size]
            position += 2 + size
        position += 1


class _Bits:
    """A unit's bits, without the bytes that keep it from looking like a start code."""

    __slots__ = ("bits", "position")

    def __init__(self, data: bytes | memoryview):
        data = bytes(data).replace(b"\0\0\3", b"\0\0")
        self.bits = bin(int.from_bytes(b"\1" + data, "big"))[3:]
        self.position = 0

    def read(self, count: int) -> int:
        begin = self.position
        self.position = end = begin + count
        return int(self.bits[begin:end], 2) if count else 0  # ValueError where the unit has ended

    def golomb(self) -> int:
        begin = self.bits.index("1", self.position)
        self.position = end = 2 * begin - self.position + 1
        return int(self.bits[begin:end], 2) - 1
