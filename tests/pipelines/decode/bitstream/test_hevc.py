"""Headers of HEVC that encoders at hand do not write."""

import pytest

from pipelines.decode.bitstream.headers import header_reader
from tests.pipelines.decode.bitstream.bits import Bits

VPS, SPS, PPS, TRAIL_N, TRAIL_R, RASL_N, IDR, CRA = 32, 33, 34, 0, 1, 8, 19, 21


def unit(bits, kind, layer=0, temporal=0):
    return bits.unit([kind << 1 | layer >> 5, (layer & 31) << 3 | temporal + 1])


def sequence(order_bits=4, sub_layers=0, chroma=1):
    bits = Bits().u(4, 0).u(3, sub_layers).u(1, 1).u(88, 1 << 80).u(8, 93)
    for _ in range(sub_layers):
        bits.u(2, 3)  # profile and level are there
    if sub_layers:
        bits.u(2 * (8 - sub_layers), 0)
    for _ in range(sub_layers):
        bits.u(96, 1)
    bits.ue(0, chroma)
    if chroma == 3:
        bits.u(1, 1)  # planes of their own
    return unit(bits.ue(64, 64).u(1, 1).ue(0, 1, 0, 1).ue(0, 0, order_bits - 4).u(8, 255), SPS)


def picture(may_be_hidden=0, extra_bits=0):
    return unit(Bits().ue(0, 0).u(1, 0).u(1, may_be_hidden).u(3, extra_bits).u(8, 255), PPS)


def write_slice(kind, order, shown=None, *, extra=0, order_bits=4, planes=False, layer=0, temporal=0):
    bits = Bits().u(1, 1)
    if 16 <= kind < 24:
        bits.u(1, 0)
    bits.ue(0).u(extra, 0) if extra else bits.ue(0)
    bits.ue(1)
    if shown is not None:
        bits.u(1, shown)
    if planes:
        bits.u(2, 0)
    if kind != IDR:
        bits.u(order_bits, order)
    return unit(bits.u(32, 0x5A5A5A5A), kind, layer, temporal)


def read(*packets):
    reader = header_reader("hevc", b"")
    return [reader(memoryview(packet), False) for packet in packets]


def order_of(header):
    """Without the modulus."""
    return header.order and header.order[:2]


def test_pictures_that_are_never_shown():
    parameters = sequence() + picture(may_be_hidden=1)
    headers = read(parameters + write_slice(IDR, 0, 1), write_slice(TRAIL_R, 4, 0), write_slice(TRAIL_N, 2, 1))
    assert [header.shown for header in headers] == [True, False, True]
    assert [order_of(header) for header in headers] == [(1, 0), (1, 4), (1, 2)]


@pytest.mark.parametrize(
    ("in_sequence", "in_picture", "in_slice"),
    [
        ({}, {}, {}),
        ({"order_bits": 8}, {}, {"order_bits": 8}),
        ({"sub_layers": 2}, {}, {}),
        ({"chroma": 3}, {}, {"planes": True}),
        ({}, {"extra_bits": 3}, {"extra": 3}),
    ],
)
def test_order_of_pictures(in_sequence, in_picture, in_slice):
    """It counts on over clean random access points, modulo a power of two, and begins anew at an IDR picture."""
    kinds_and_orders = [(IDR, 0), (TRAIL_R, 7), (TRAIL_N, 3), (CRA, 14), (RASL_N, 11), (TRAIL_R, 20), (IDR, 0)]
    size = 1 << in_sequence.get("order_bits", 4)
    packets = [write_slice(kind, order % size, **in_slice) for kind, order in kinds_and_orders]
    packets[0] = sequence(**in_sequence) + picture(**in_picture) + packets[0]
    expected = [(1, order) for _, order in kinds_and_orders[:-1]] + [(2, 0)]
    assert [order_of(header) for header in read(*packets)] == expected


def test_order_counts_on_from_pictures_of_the_lowest_layer_that_others_need():
    packets = [sequence() + picture() + write_slice(IDR, 0), write_slice(TRAIL_R, 7)]
    packets += [write_slice(TRAIL_R, 14, temporal=1), write_slice(TRAIL_N, 14), write_slice(TRAIL_R, 1)]
    assert [order_of(header) for header in read(*packets)] == [(1, 0), (1, 7), (1, 14), (1, 14), (1, 1)]


def test_what_is_not_understood_says_nothing():
    other_layer = write_slice(TRAIL_R, 3, layer=1)
    headers = read(write_slice(IDR, 0), sequence() + picture() + write_slice(IDR, 0), other_layer, sequence()[:9])
    assert [order_of(header) for header in headers] == [None, (1, 0), None, None]


def test_first_slice_speaks_for_its_picture():
    second = unit(Bits().u(1, 0).u(1, 0).ue(0).u(40, 1), IDR)
    headers = read(sequence() + picture() + write_slice(IDR, 0) + second)
    assert (order_of(headers[0]), headers[0].start) == ((1, 0), True)
