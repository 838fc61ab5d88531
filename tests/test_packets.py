"""Choosing packets, on made-up streams whose dependencies are known, and reading coded pictures' headers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.headers import Header, break_link, header_reader
from pipelines.packets import Fact, Packet, gather_facts, order_shown, select

AVCC = bytes([1, 100, 0, 10, 0xFF])  # length fields of 4 bytes
HVCC = bytes([1] + [0] * 20 + [0x0F])
PICTURE, REFERENCE, START = Header(reference=False), Header(), Header(start=True)
RASL = Header(leading=True, reference=False)
RASL_REFERENCE = Header(leading=True)


def stream(*pictures: tuple[int, Header]) -> list[Packet]:
    """A stream of (time shown, header), in decoding order."""
    return [Packet(pts, False, header) for pts, header in pictures]


def chosen(packets: list[Packet], *frames: int) -> list[list[int]]:
    facts = gather_facts(packets)
    shown = order_shown(facts, reordered=False)
    return [run.packets for run in select(facts, {shown[frame]: frame for frame in frames})]


# Two closed groups of pictures, decoded I P b b P b b: shown 0 3 1 2 6 4 5, then the same from 7 on.
GROUP = [(0, START), (3, REFERENCE), (1, PICTURE), (2, PICTURE), (6, REFERENCE), (4, PICTURE), (5, PICTURE)]
CLOSED = stream(*GROUP, *((pts + 7, header) for pts, header in GROUP))


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([0], [[0]]),
        ([3], [[0, 1]]),
        ([1], [[0, 1, 2]]),
        ([2], [[0, 1, 3]]),  # frame 1 is not decoded
        ([5], [[0, 1, 4, 6]]),
        ([1, 2], [[0, 1, 2, 3]]),
        ([7], [[7]]),  # nothing of the first group
        ([0, 13], [[0], [7, 8, 11]]),
        ([6, 8], [[0, 1, 4], [7, 8, 9]]),
    ],
)
def test_fewest_packets(frames, expected):
    assert chosen(CLOSED, *frames) == expected


def test_leading_pictures_need_the_group_before():
    # I P b, then an open group: I, two pictures shown before it, P
    packets = stream(
        (0, START), (2, REFERENCE), (1, PICTURE), (5, START), (4, RASL_REFERENCE), (3, RASL), (6, REFERENCE)
    )
    assert chosen(packets, 5) == [[3]]
    assert chosen(packets, 6) == [[3, 6]]  # no leading picture of the group in which decoding starts
    assert chosen(packets, 4) == [[0, 1, 3, 4]]
    assert chosen(packets, 3) == [[0, 1, 3, 4, 5]]
    assert chosen(packets, 0, 5) == [[0], [3]]
    assert chosen(packets, 3, 6) == [[0, 1, 3, 4, 5, 6]]  # one run, though frame 6 alone could start later


def test_leading_pictures_of_the_first_group_are_no_frames():
    packets = stream(
        (5, START), (4, RASL), (6, REFERENCE), (9, START._replace(broken_link=True)), (8, RASL), (10, REFERENCE)
    )
    facts = gather_facts(packets)
    assert order_shown(facts, reordered=True) == [0, 2, 3, 5]
    assert chosen(packets, 3) == [[3, 5]]


def test_lower_temporal_layers_are_kept_for_the_layers_above():
    middle, top = PICTURE._replace(layer=1), PICTURE._replace(layer=2)
    packets = stream((0, START), (4, REFERENCE), (2, middle), (1, top), (3, top))
    assert chosen(packets, 3) == [[0, 1, 2, 4]]
    assert chosen(packets[:3], 1) == [[0, 1, 2]]


def test_parameter_sets_inside_the_stream():
    with_sets = START._replace(parameters=True)
    assert chosen(stream((0, with_sets), (1, REFERENCE), (2, START), (3, REFERENCE)), 3) == [[0, 1, 2, 3]]
    assert chosen(stream((0, with_sets), (1, REFERENCE), (2, with_sets), (3, REFERENCE)), 3) == [[2, 3]]
    carrier = PICTURE._replace(parameters=True)
    assert chosen(stream((0, START), (1, carrier), (2, REFERENCE)), 2) == [[0, 1, 2]]


@pytest.mark.parametrize(
    "packets",
    [
        [],
        stream((0, REFERENCE), (1, START)),  # does not begin with a random access point
        stream((0, START), (1, REFERENCE), (1, REFERENCE)),  # times repeat
        [Packet(0, False, START), Packet(None, False, REFERENCE)],
        stream((0, START), (1, REFERENCE), (2, Header(shown=None))),
        stream((0, START), (1, REFERENCE), (2, PICTURE)),  # reordered, says the codec, but the times are not
    ],
)
def test_order_that_only_a_decode_can_tell(packets):
    assert order_shown(gather_facts(packets), reordered=True) is None


def test_times_that_go_back_at_a_random_access_point_tell_no_order():
    """Recordings put together, each with times of its own."""
    start, other = Header(start=True), Header()
    later = [(100, start), (140, other), (120, Header(reference=False))]
    assert order_shown(gather_facts(stream(*later, (180, start), (220, other))), reordered=True) == [0, 2, 1, 3, 4]
    assert order_shown(gather_facts(stream(*later, (0, start), (40, other))), reordered=True) is None
    assert order_shown(gather_facts(stream(*later, (130, start), (220, other))), reordered=True) is None


def test_hidden_packets_are_no_frames_but_are_decoded():
    packets = [Packet(-1, True, START), Packet(0, False, REFERENCE), Packet(1, False, REFERENCE._replace(shown=False))]
    packets.append(Packet(2, False, REFERENCE))
    assert order_shown(gather_facts(packets), reordered=False) == [1, 3]
    facts = gather_facts(packets)
    assert [run.packets for run in select(facts, {3: 1})] == [[0, 1, 2, 3]]


@st.composite
def streams(draw) -> tuple[list[Fact], dict[int, set[int]], set[int]]:
    """Facts of a random stream, what each packet is predicted from (at most), and some wanted packets."""
    facts, needs, references = [], {}, set()
    for group in range(draw(st.integers(1, 4))):
        start, earlier = len(facts), set(references)
        facts.append(Fact(None, True, True, True, False))
        needs[start], leading_references, references = set(), set(), {start}
        for _ in range(draw(st.integers(0, 3)) if group else 0):
            reference, i = draw(st.booleans()), len(facts)
            facts.append(Fact(None, True, False, reference, True))
            needs[i] = earlier | {start} | leading_references
            leading_references |= {i} if reference else set()
        for _ in range(draw(st.integers(0, 5))):
            reference, i = draw(st.booleans()), len(facts)
            facts.append(Fact(None, True, False, reference, False))
            needs[i] = set(references)
            references |= {i} if reference else set()
    return facts, needs, draw(st.sets(st.sampled_from(range(len(facts))), min_size=1, max_size=5))


@given(streams())
def test_every_run_holds_what_its_frames_need_and_nothing_that_they_do_not(case):
    facts, needs, wanted = case
    runs = select(facts, {packet: packet for packet in wanted})
    assert sorted(packet for run in runs for packet in run.wanted) == sorted(wanted)
    for run in runs:
        assert run.packets == sorted(run.packets)
        assert facts[run.packets[0]].start
        assert run.packets[-1] in wanted
        fed = set(run.packets)
        for packet in run.wanted:
            assert needs[packet] <= fed
        for packet in fed - wanted:
            assert facts[packet].reference
            assert needs[packet] <= fed  # what is fed must be decodable, or a strict decoder stops


def avc(*units: bytes) -> memoryview:
    return memoryview(b"".join(len(unit).to_bytes(4, "big") + unit for unit in units))


def annex_b(*units: bytes) -> memoryview:
    return memoryview(b"".join(b"\0\0\0\1" + unit for unit in units))


@pytest.mark.parametrize(("extradata", "packed"), [(AVCC, avc), (b"", annex_b), (b"\0\0\0\1\x67\0", annex_b)])
def test_h264_headers(extradata, packed):
    read = header_reader("h264", extradata)
    sei, sps, pps, idr, slice_, disposable = b"\x06\5", b"\x67\1", b"\x68\1", b"\x65\x88", b"\x41\x9a", b"\x01\x9e"
    assert read(packed(sei, idr), True) == Header(start=True)
    assert read(packed(sps, pps, idr), True) == Header(start=True, parameters=True)
    assert read(packed(sei, slice_), True) == Header()  # a recovery point that the container calls a keyframe
    assert read(packed(disposable, disposable), False) == Header(reference=False)
    assert read(packed(disposable, slice_), False) == Header()  # two fields, one is referred to
    assert read(packed(sei), False).shown is None


def test_h264_length_fields_of_two_bytes():
    read = header_reader("h264", AVCC[:4] + b"\xfd")
    assert read(memoryview(b"\0\2\x06\5\0\3\x65\x88\0"), False) == Header(start=True)


def test_headers_of_damaged_packets_end_with_the_data():
    read = header_reader("h264", AVCC)
    assert read(memoryview(b"\xff\xff\xff\xff\x65\x88"), True).start
    assert read(memoryview(b"\0\0"), True).shown is None
    assert read(memoryview(bytes(100)), True).shown is None


def hevc_unit(kind: int, temporal_id: int = 0, layer: int = 0) -> bytes:
    return bytes([kind << 1 | layer >> 5, (layer & 31) << 3 | temporal_id + 1, 0])


@pytest.mark.parametrize(("extradata", "packed"), [(HVCC, avc), (b"", annex_b)])
def test_hevc_headers(extradata, packed):
    read = header_reader("hevc", extradata)
    vps, sps, sei = hevc_unit(32), hevc_unit(33), hevc_unit(39)
    assert read(packed(sei, hevc_unit(19)), True) == Header(start=True)
    assert read(packed(vps, sps, hevc_unit(21)), True) == Header(start=True, parameters=True)
    assert read(packed(hevc_unit(16)), True) == Header(start=True, broken_link=True)
    assert read(packed(hevc_unit(8)), False) == Header(leading=True, reference=False)
    assert read(packed(hevc_unit(9)), False) == Header(leading=True)
    assert read(packed(hevc_unit(6)), False) == Header(reference=False)  # RADL can be decoded
    assert read(packed(hevc_unit(0, temporal_id=2)), False) == Header(reference=False, layer=2)
    assert read(packed(hevc_unit(1), hevc_unit(0, layer=1)), False) == Header()  # the second view is not decoded
    assert read(packed(sei), False).shown is None


def test_broken_link():
    data = bytes(avc(hevc_unit(39), hevc_unit(21, temporal_id=2), hevc_unit(21)))
    assert break_link(data, HVCC) == bytes(avc(hevc_unit(39), hevc_unit(17, temporal_id=2), hevc_unit(17)))


def test_vpx_headers():
    vp8, vp9 = header_reader("vp8", b""), header_reader("vp9", b"")
    key, inter, hidden = memoryview(b"\x10\0\0"), memoryview(b"\x11\0\0"), memoryview(b"\x01\0\0")
    assert [vp8(data, False) for data in (key, inter, hidden)] == [Header(start=True), Header(), Header(shown=False)]
    key, inter, hidden = memoryview(b"\x82\0"), memoryview(b"\x86\0"), memoryview(b"\x84\0")
    assert [vp9(data, False) for data in (key, inter, hidden)] == [Header(start=True), Header(), Header(shown=False)]
    assert vp9(memoryview(b"\x88\0"), True) == Header()  # shows a picture that was decoded before
    assert vp9(memoryview(b"\x84\0\xc9"), False) == Header()  # a hidden picture and a shown one
    assert vp9(memoryview(b"\xb1\0"), False) == Header(start=True)  # profile 3: one more bit before


def test_other_codecs():
    data = memoryview(bytes(np.arange(40, dtype=np.uint8)))
    assert header_reader("av1", b"")(data, True) == Header(start=True)
    assert header_reader("mjpeg", b"")(data, False) == Header(start=True, reference=False)
    assert header_reader("mpeg4", b"")(data, True) == Header(start=True, may_lead=True)
    assert header_reader("mpeg4", b"")(data[:8], False).shown is None  # may be a picture that is "not coded"
    assert header_reader("mpeg2video", b"")(data, True).shown is None


def test_mpeg4_pictures_shown_before_their_keyframe_need_the_group_before():
    b_picture = Header(may_lead=True)
    packets = stream((0, START), (3, b_picture), (1, b_picture), (6, START._replace(may_lead=True)), (5, b_picture))
    assert chosen(packets, 3) == [[0, 1, 2, 3, 4]]
    assert chosen(packets, 4) == [[3]]
