"""What the headers of coded pictures say."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipelines.decode.bitstream.headers import Header, break_link, header_reader

AVCC = bytes([1, 100, 0, 10, 0xFF])  # length fields of 4 bytes
HVCC = bytes([1] + [0] * 20 + [0x0F])


def avc(*units: bytes) -> memoryview:
    return memoryview(b"".join(len(unit).to_bytes(4, "big") + unit for unit in units))


def annex_b(*units: bytes) -> memoryview:
    return memoryview(b"".join(b"\0\0\0\1" + unit for unit in units))


@pytest.mark.parametrize(("extradata", "packed"), [(AVCC, avc), (b"", annex_b), (b"\0\0\0\1\x67\0", annex_b)])
def test_h264_headers(extradata, packed):
    read = header_reader("h264", extradata)
    sei, sps, pps, idr, slice_, disposable = b"\x06\5", b"\x67\1", b"\x68\1", b"\x65\x88", b"\x41\x9a", b"\x01\x9e"
    assert read(packed(sei, idr), True) == Header(start=True)
    assert read(packed(sps, pps, idr), True) == Header(start=True, parameters=True, all_parameters=True)
    assert read(packed(pps, idr), True) == Header(start=True, parameters=True)
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


PIECES = [b"\0\0\1", b"\0\0\0", b"\0\0\0\2", b"\x67", b"\x42\1", b"\x65\x88", b"\x32\xff"]


@example([[b"\0\0\1\x67\0\0\1\x65\x88"], [b"\0\0\0\0\0\0\0\2\x65\x88"]])  # units that overlap
@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.sampled_from(PIECES) | st.binary(max_size=9), min_size=3, max_size=9), max_size=9))
@pytest.mark.parametrize(
    ("codec", "extradata"),
    [("h264", AVCC), ("h264", b""), ("hevc", HVCC), ("hevc", b"")]
    + [(codec, b"") for codec in ("vp8", "vp9", "av1", "mpeg4", "mjpeg")],
)
def test_damaged_streams_are_read_without_an_error(codec, extradata, packets):
    read = header_reader(codec, extradata)
    for pieces in packets:
        if data := b"".join(pieces):
            read(memoryview(data), False)


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
    assert header_reader("mpeg2video", b"")(data, True).shown is None


def test_mjpeg_headers():
    read = header_reader("mjpeg", b"")
    assert read(memoryview(b"\xff\xd8\xff\xdb" + bytes(9)), False) == Header(start=True)
    assert read(memoryview(b"\xff\xd8\xff\xc0" + bytes(9)), True) == Header(reference=False)  # with earlier tables


def test_mpeg4_headers():
    read = header_reader("mpeg4", b"")
    layer, vop, rest = b"\0\0\1\x20\x08", b"\0\0\1\xb6", bytes(20)
    with_layer = Header(start=True, parameters=True, all_parameters=True)
    assert read(memoryview(layer + vop + b"\x10" + rest), False) == with_layer
    assert read(memoryview(vop + b"\x10" + rest), False) == Header(start=True)
    assert read(memoryview(vop + b"\x50" + rest), True) == Header()  # the container calls it a keyframe
    assert read(memoryview(vop + b"\x90" + rest), False) == Header(may_lead=True)
    assert read(memoryview(vop + b"\x50" + rest + vop + b"\x90" + rest), False).shown is None  # two pictures
    assert read(memoryview(vop + b"\x50"), False).shown is None  # may be a picture that is "not coded"
    assert read(memoryview(rest), False).shown is None


def test_encoders_that_mpeg4_names():
    name, other = b"\0\0\1\xb2Lavc62", b"\0\0\1\xb2XviD0050"
    layer, picture = b"\0\0\1\x20\x08", b"\0\0\1\xb6\x10" + bytes(20)
    read = header_reader("mpeg4", layer + name)
    assert read(memoryview(name + picture), False) == Header(start=True)  # as in the container
    assert read(memoryview(other + picture), False) == Header(start=True, parameters=True)
    assert read(memoryview(layer + picture), False) == Header(start=True, parameters=True)
    complete = Header(start=True, parameters=True, all_parameters=True)
    assert read(memoryview(layer + other + picture), False) == complete


def test_av1_headers():
    """Units: a temporal delimiter, then frames (type 6) and frame headers (3) of different lengths."""
    read = header_reader("av1", b"")
    delimiter, shown, hidden, repeated = b"\x12\0", b"\x32\x81\1\x10" + bytes(128), b"\x32\2\0\0", b"\x1a\1\x80"
    assert read(memoryview(delimiter + shown), True) == Header(start=True)
    assert read(memoryview(delimiter + hidden + shown), False) == Header()
    assert read(memoryview(delimiter + hidden), False) == Header(shown=False)
    assert read(memoryview(delimiter + repeated), False) == Header()
    assert read(memoryview(shown + shown), False).shown is None
    assert read(memoryview(b"\x0a\1\x18" + hidden), True) == Header(start=True)  # a still picture
    assert read(memoryview(b"\x36\0\2\x10\0" + b"\x30\0"), False) == Header()  # extension; no length at the end
