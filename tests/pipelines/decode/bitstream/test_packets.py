"""Choosing packets, on made-up streams whose dependencies are known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.decode.bitstream.headers import Header
from pipelines.decode.bitstream.packets import Fact, Packet, gather_facts, order_shown, select

PICTURE, REFERENCE, START = Header(reference=False), Header(), Header(start=True)
RASL = Header(leading=True, reference=False)
RASL_REFERENCE = Header(leading=True)


def stream(*pictures: tuple[int, Header]) -> list[Packet]:
    """A stream of (time shown, header), in decoding order."""
    return [Packet(pts, False, header) for pts, header in pictures]


def chosen(packets: list[Packet], *frames: int) -> list[list[int]]:
    facts, times = gather_facts(packets), [packet.pts for packet in packets]
    shown = order_shown(facts, reordered=times != sorted(times))
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
    with_sets = START._replace(parameters=True, all_parameters=True)
    assert chosen(stream((0, with_sets), (1, REFERENCE), (2, START), (3, REFERENCE)), 3) == [[0, 1, 2, 3]]
    assert chosen(stream((0, with_sets), (1, REFERENCE), (2, with_sets), (3, REFERENCE)), 3) == [[2, 3]]
    carrier = PICTURE._replace(parameters=True)
    assert chosen(stream((0, START), (1, carrier), (2, REFERENCE)), 2) == [[0, 1, 2]]
    some = START._replace(parameters=True)
    assert chosen(stream((0, with_sets), (1, REFERENCE), (2, some), (3, REFERENCE)), 3) == [[0, 1, 2, 3]]


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


def test_codecs_that_keep_the_order_of_decoding():
    """VP9, AV1 and others, and H.264 and MPEG-4 without B-frames: what the times say of the order cannot be true."""
    packets = stream((0, START), (1, REFERENCE), (3, REFERENCE), (2, REFERENCE))
    assert order_shown(gather_facts(packets), reordered=False) is None
    assert order_shown(gather_facts(packets), reordered=True) == [0, 1, 3, 2]


def test_gaps_in_a_count_that_has_none():
    def counted(*counts):
        first, *others = (Header(start=not number, order=(1, count)) for number, count in enumerate(counts))
        return gather_facts(stream(*enumerate([first, *others])))

    assert order_shown(counted(0, 2, 4, 6), False, gapless=True) == [0, 1, 2, 3]
    assert order_shown(counted(0, 2, 6, 8), False, gapless=True) is None
    assert order_shown(counted(0, 2, 6, 8), False) == [0, 1, 2, 3]


@pytest.mark.parametrize(("time", "told"), [(2, True), (2.4, True), (3, False)])
def test_gaps_where_a_count_begins_anew(time, told):
    counted = [(0, (1, 0)), (1, (1, 1)), (time, (2, 0)), (time + 1, (2, 1)), (time + 2, (2, 2))]
    packets = stream(*((pts, Header(start=order[1] == 0, order=order)) for pts, order in counted))
    assert (order_shown(gather_facts(packets), False, gapless=True) is not None) == told


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


def test_mpeg4_pictures_shown_before_their_keyframe_need_the_group_before():
    b_picture = Header(may_lead=True)
    packets = stream((0, START), (3, REFERENCE), (1, b_picture), (6, START), (5, b_picture))
    assert chosen(packets, 3) == [[0, 1, 2, 3, 4]]
    assert chosen(packets, 4) == [[3]]


def test_mpeg4_picture_that_no_later_one_follows():
    """The picture after it is lost, or the times are made up."""
    packets = stream((0, START), (3, REFERENCE), (4, Header(may_lead=True)), (9, REFERENCE))
    assert order_shown(gather_facts(packets), reordered=True) is None
