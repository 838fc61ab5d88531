"""Headers that are read all at once, against those that are read picture by picture."""

import numpy as np
import pytest

from pipelines.decode.bitstream.headers import header_reader
from pipelines.decode.bitstream.mp4 import SampleTable, sample_table
from pipelines.decode.bitstream.packets import Packet, gather_facts, order_shown
from pipelines.decode.bitstream.single_slices import facts_in_order, single_units
from tests.helpers.media import write_video
from tests.pipelines.decode.bitstream.bits import Bits


def at_once(data: bytes, table: SampleTable):
    units = single_units(data, table)
    return units and facts_in_order(data, table, units)


def one_by_one(data: bytes, table: SampleTable):
    read = header_reader(table.codec, table.extradata)
    packets = [memoryview(data)[at : at + size] for at, size in zip(table.offsets, table.sizes, strict=True)]
    pairs = zip(table.pts.tolist(), packets, strict=True)
    facts = gather_facts([Packet(pts, False, read(packet, False)) for pts, packet in pairs])
    shown = order_shown(facts, reordered=False)
    return shown and (facts, shown)


@pytest.mark.parametrize(
    "options",
    [
        {"bf": "3", "x264-params": "b-adapt=0:b-pyramid=normal"},
        {"bf": "2", "g": "7"},
        {"g": "1"},
        {"bf": "0", "g": "5"},  # x264 then leaves out the picture order count
        {"bf": "1", "x264-params": "weightp=2:ref=5"},
    ],
)
def test_the_same_is_found(tmp_path, options):
    data = write_video(tmp_path / "v.mp4", 40, options=options).read_bytes()
    table = sample_table(data)
    found = at_once(data, table)
    assert found is not None
    assert found == one_by_one(data, table)
    assert {tuple(map(type, fact)) for fact in found[0]} == {(int, bool, bool, bool, bool, tuple)}


@pytest.mark.parametrize("parameters", ["slices=2", "aud=1", "open-gop=1:keyint=8:min-keyint=8"])
def test_what_holds_more_than_a_slice_is_left_to_others(tmp_path, parameters):
    data = write_video(tmp_path / "v.mp4", 20, options={"bf": "3", "x264-params": parameters}).read_bytes()
    assert at_once(data, sample_table(data)) is None


def test_damaged_headers_are_found_as_well(tmp_path):
    """Whatever the headers say, it is the same; or it is left to those who read them one by one."""
    data = write_video(tmp_path / "v.mp4", 30, options={"bf": "2", "g": "9"}).read_bytes()
    table, rng = sample_table(data), np.random.default_rng(0)
    found = 0
    for _ in range(400):
        changed, new = bytearray(data), [b"\0\0\3", b"\xff", rng.bytes(1), rng.bytes(2)][rng.integers(4)]
        at = table.offsets[rng.integers(30)] + 4 + rng.integers(6)
        changed[at : at + len(new)] = new
        both = at_once(bytes(changed), table), one_by_one(bytes(changed), table)
        if both[0] is not None:
            found += 1
            assert both[0] == both[1]
    assert 0 < found < 400


def test_bytes_that_keep_headers_from_looking_like_a_start_code():
    """Numbers as long as they may be, one of them with such a byte inside."""
    parameters = Bits().u(8, 66).u(16, 0).ue(0, 12, 0, 12, 1).u(1, 0).ue(1, 1).u(1, 1).unit([0x67])[4:]
    names = Bits().ue(0, 0).unit([0x68])[4:]
    extradata = bytes([1, 66, 0, 10, 0xFF, 0xE1, 0, len(parameters)]) + parameters + bytes([1, 0, len(names)]) + names
    orders = [0, 2, 4, 8, 10, 12, 14, 16, 5]
    slices = [Bits().ue(0, 7, 0).u(16, 0).ue(0).u(16, 0).u(64, 2**64 - 1).unit([0x65])[4:]]
    for frame_num, order in enumerate(orders[1:], 1):
        slices.append(Bits().ue(0, 0, 0).u(16, frame_num).u(16, order).u(64, 2**64 - 1).unit([0x61])[4:])
    assert b"\0\0\3" in slices[8][:6]
    packets = [len(unit).to_bytes(4, "big") + unit for unit in slices]
    sizes = np.array([len(packet) for packet in packets])
    table = SampleTable("h264", extradata, 1 + np.cumsum(sizes) - sizes, sizes, np.array(orders), None)
    data = b"x" + b"".join(packets)
    found = at_once(data, table)
    assert [fact.order for fact in found[0]] == [(1, order) for order in orders]
    assert found == one_by_one(data, table)


def test_a_lost_reference_picture_and_times_that_go_back_are_found(tmp_path):
    data = write_video(tmp_path / "v.mp4", 30, options={"bf": "0", "g": "9"}).read_bytes()
    table = sample_table(data)
    kept = np.arange(30) != 4
    lost = table._replace(offsets=table.offsets[kept], sizes=table.sizes[kept], pts=table.pts[kept])
    pts = table.pts.copy()
    pts[[8, 9]] = pts[[9, 8]]  # the second begins a group
    twice = table.pts.copy()
    twice[4] = twice[3]
    for wrong in (lost, table._replace(pts=pts), table._replace(pts=twice), table._replace(pts=table.pts[::-1].copy())):
        assert at_once(data, wrong) is None
        assert one_by_one(data, wrong) is None
