"""What the headers of HEVC say of the order of pictures, of those that are never shown, of new parameters, and of
messages that change the pictures after them.

Source: ITU-T H.265 7.3.2.2, 7.3.2.3, 7.3.3, 7.3.6.1, 8.3.1; hvcC: ISO/IEC 14496-15.
"""

from collections.abc import Iterator
from typing import NamedTuple

from pipelines.decode.bitstream.bits import Bits, same_unit, unit_at
from pipelines.decode.bitstream.sei import alters_pictures, messages

SPS, PPS, SEI = 33, 34, 39  # types of units
IRAP = range(16, 24)  # slices of random access points
BLA, IDR = range(16, 19), range(19, 21)
LEADING = range(6, 10)
SLICE_BYTES = 24  # of a slice's header, more than what is read of it
PARAMETER_BYTES = 256  # of a parameter set, more than what is read of it


class Sequence(NamedTuple):
    """What a sequence parameter set says of the headers of slices."""

    order_bits: int  # of the picture order count
    color_planes: bool


class Picture(NamedTuple):
    """What a picture parameter set says of the headers of slices."""

    sequence: int
    may_be_hidden: bool  # headers say whether the picture is shown
    extra_bits: int


class SliceReader:
    """Reads a stream from its first packet on; of what it does not understand it says nothing.

    extradata: what the container holds for the decoder.
    """

    def __init__(self, extradata: bytes):
        # Of the last packet: breaks in the count of pictures so far, the picture order count (8.3.1), and modulo what
        # slices give it.
        self.order: tuple[int, int, int] | None = None
        self.shown: bool | None = True  # None: only a decode can tell
        self._known: dict[int, bytes] = {}  # sequence parameter set -> the bytes that stand for it
        self._sequences: dict[int, Sequence] = {}
        self._pictures: dict[int, Picture] = {}
        self._breaks = self._last_order = 0
        self._altered = False  # by other parameters, or messages: grain is added to pictures, or they are turned
        for unit in _units_of_hvcc(extradata):
            self._keep(unit)

    def read(self, data: memoryview, units: list[int]) -> None:
        """Note what a packet says; units: where in it its units begin."""
        self.order, self.shown = None, True
        for number, at in enumerate(units):
            first, second = data[at], data[at + 1]
            kind = first >> 1 & 63
            if first & 1 or second >> 3:
                continue  # of another layer
            if kind in (SPS, PPS, SEI):
                self._keep(unit_at(data, units, number))
            elif kind < 32:
                self._read_slice(data[at + 2 : at + SLICE_BYTES], kind, second & 7)
                break  # the picture's other slices say the same
        if self._altered:
            self.shown = None

    def _read_slice(self, header: memoryview, kind: int, layer: int) -> None:
        bits = Bits.of(header)
        try:
            if not bits.read(1):
                return  # not the first of its picture
            if kind in IRAP:
                bits.read(1)
            picture = self._pictures[bits.golomb()]
            sequence = self._sequences[picture.sequence]
            bits.read(picture.extra_bits)
            bits.golomb()
            shown = bits.read(1) == 1 if picture.may_be_hidden else True
            if sequence.color_planes:
                bits.read(2)
            order = 0 if kind in IDR else bits.read(sequence.order_bits)
        except (KeyError, ValueError):
            return
        if kind in IDR or kind in BLA:
            self._breaks += 1
            self._last_order = order
        size = 1 << sequence.order_bits
        order = self._last_order + (order - self._last_order + size // 2) % size - size // 2
        self.order, self.shown = (self._breaks, order, size), shown
        if layer == 1 and kind not in LEADING and (kind > 14 or kind % 2):
            self._last_order = order

    def _keep(self, unit: bytes) -> None:
        """Note what a parameter set or a message says of the pictures after it."""
        kind = unit[0] >> 1 & 63
        if kind == SEI:
            self._altered |= any(alters_pictures(*message) for message in messages(unit[2:]))
            return
        bits = Bits.of(unit[2:PARAMETER_BYTES])
        try:
            if kind == PPS:
                number, its_sequence = bits.golomb(), bits.golomb()
                bits.read(1)
                self._pictures[number] = Picture(its_sequence, bits.read(1) == 1, bits.read(3))
            elif kind == SPS:
                number, sequence = _read_sequence(bits)
                self._sequences[number] = sequence
                self._altered |= not same_unit(unit, self._known.setdefault(number, unit))
        except ValueError:
            pass


def _read_sequence(bits: Bits) -> tuple[int, Sequence]:
    """Number and content of a sequence parameter set; ValueError: it is none."""
    bits.read(4)
    layers = bits.read(3)  # beside the lowest
    bits.read(1 + 96)  # profile, tier and level
    present = [(bits.read(1), bits.read(1)) for _ in range(layers)]
    bits.read(2 * (8 - layers) if layers else 0)
    for profile, level in present:
        bits.read(88 * profile + 8 * level)
    number = bits.golomb()
    planes = bits.golomb() == 3 and bits.read(1) == 1
    bits.golomb(), bits.golomb()
    if bits.read(1):  # conformance window
        bits.golomb(), bits.golomb(), bits.golomb(), bits.golomb()
    bits.golomb(), bits.golomb()
    order_bits = bits.golomb() + 4
    if order_bits > 16:
        raise ValueError
    return number, Sequence(order_bits, planes)


def _units_of_hvcc(extradata: bytes) -> Iterator[bytes]:
    if extradata[:1] != b"\1" or len(extradata) < 23:
        return
    position = 23
    for _ in range(extradata[22]):  # a list for each type of unit
        count = int.from_bytes(extradata[position + 1 : position + 3], "big")
        position += 3
        for _ in range(count):
            size = int.from_bytes(extradata[position : position + 2], "big")
            unit = extradata[position + 2 : position + 2 + size]
            position += 2 + size
            if len(unit) > 2:
                yield unit
