"""Streams in which packets and frames are not what the container makes believe: fields, lost and discarded pictures."""

import struct
from fractions import Fraction

import av
import numpy as np
import pytest

from pipelines.decode import decode_frames
from pipelines.decode.frames import VideoError, probe
from pipelines.decode.remux import remux
from tests.helpers.decoding import check, demuxed, full_decode, rewrite, x264, x265
from tests.helpers.media import write_video
from tests.pipelines.decode.bitstream.bits import Bits

CLOSED_HEVC = x265("keyint=10:bframes=4:b-adapt=0:open-gop=0")
OPEN_HEVC = x265("keyint=10:bframes=4:b-adapt=0")


def discard_prior(kinds):
    """Sets no_output_of_prior_pics_flag in slices of these kinds (H.265 7.3.6.1)."""

    def change(part, number, packet):
        data, position = bytearray(bytes(packet)), 0
        while position < len(data):
            if data[position + 4] >> 1 & 63 in kinds:
                data[position + 6] |= 0x40
            position += 4 + int.from_bytes(data[position : position + 4], "big")
        return bytes(data), packet.pts

    return change


def check_opaque(path):
    info = check(path, rounds=5)
    assert demuxed(path).shown is None
    with pytest.raises(VideoError) as error:
        remux(path, [0])
    assert error.value.status == "not_prunable"
    return info


def test_hevc_sequence_that_ends(tmp_path):
    """After an end of sequence, pictures before the next random access point are gone."""
    whole = write_video(tmp_path / "1.mp4", 40, codec="hevc", options=OPEN_HEVC)
    begin = [i for i, fact in enumerate(demuxed(whole).facts) if fact.start][1]
    rewrite(tmp_path / "2.mp4", [whole], lambda part, i, packet: (bytes(packet), packet.pts) if i >= begin else None)

    def end(part, number, packet):
        mark = b"\0\0\0\2" + bytes([36 << 1, 1]) if (part, number) == (0, 39) else b""
        return bytes(packet) + mark, packet.pts

    assert check_opaque(rewrite(tmp_path / "v.mp4", [whole, tmp_path / "2.mp4"], end)).frames < 80 - begin


def test_hevc_pictures_that_are_discarded_before_they_are_shown(tmp_path):
    source = write_video(tmp_path / "1.mp4", 40, codec="hevc", options=CLOSED_HEVC)
    assert check_opaque(rewrite(tmp_path / "v.mp4", [source], discard_prior((19, 20)))).frames < 40


def test_hevc_open_group_that_would_discard_pictures_after_a_cut(tmp_path):
    """What a CRA says of prior pictures takes effect when it is made a BLA."""
    source = write_video(tmp_path / "1.mp4", 100, codec="hevc", options=OPEN_HEVC)
    path = rewrite(tmp_path / "v.mp4", [source], discard_prior((21,)))
    assert check(path, rounds=5).frames == 100
    for frames in ([0, 1, 44, 91], [3, 37, 38, 75]):
        data, numbers = remux(path, frames)
        (tmp_path / "small.mp4").write_bytes(data)
        pictures, original = full_decode(tmp_path / "small.mp4"), full_decode(path)
        for frame, number in zip(frames, numbers, strict=True):
            np.testing.assert_array_equal(pictures[number], original[frame])


def boxes(data):
    position = 0
    while position < len(data):
        size = int.from_bytes(data[position : position + 4], "big")
        yield data[position + 4 : position + 8], data[position + 8 : position + size]
        position += size


def box(kind, data):
    return struct.pack(">I", 8 + len(data)) + kind + data


def with_two_descriptions(data, entry, count, offsets):
    """The boxes with another sample entry, for all samples from number `count` on; every sample a chunk of its own."""
    out = b""
    for kind, inside in boxes(data):
        if kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
            inside = with_two_descriptions(inside, entry, count, offsets)
        elif kind == b"stsd":
            inside = inside[:4] + struct.pack(">I", 2) + inside[8:] + entry
        elif kind == b"stsc":
            inside = inside[:4] + struct.pack(">7I", 2, 1, 1, 1, count + 1, 1, 2)
        elif kind == b"stco":
            inside = inside[:4] + struct.pack(f">{1 + len(offsets)}I", len(offsets), *offsets)
        out += box(kind, inside)
    return out


@pytest.mark.parametrize(
    ("codec", "first", "second"),
    [
        ("h264", x264("keyint=7"), x264("keyint=7:chroma-qp-offset=5")),
        ("hevc", x265("keyint=7"), x265("keyint=7:cbqpoffs=5:crqpoffs=-5")),
    ],
)
def test_parameter_sets_that_change_beside_the_packets(tmp_path, codec, first, second):
    """A track with two sample entries: the second one's parameter sets come with its first packet only."""
    parts = [
        write_video(tmp_path / f"{k}.mp4", 20, codec=codec, options=options)
        for k, options in enumerate((first, second))
    ]
    both = rewrite(tmp_path / "both.mp4", parts)
    offsets = [packet.pos for packet in demuxed(both).kept]
    other = parts[1].read_bytes()
    at = other.index(b"stsd")
    entry = other[at + 12 : at - 4 + int.from_bytes(other[at - 4 : at], "big")]
    (tmp_path / "v.mp4").write_bytes(with_two_descriptions(both.read_bytes(), entry, 20, offsets))
    assert check_opaque(tmp_path / "v.mp4").frames == 40


def with_edits(data, *edits):
    """The boxes with an edit list of these durations (ticks of the movie) and starts (ticks of the track)."""
    table = b"".join(struct.pack(">Iii", duration, start, 1 << 16) for duration, start in edits)
    out = b""
    for kind, inside in boxes(data):
        if kind in (b"moov", b"trak"):
            inside = with_edits(inside, *edits)
        if kind == b"trak":
            inside += box(b"edts", box(b"elst", struct.pack(">II", 0, len(edits)) + table))
        out += box(kind, inside) if kind != b"edts" else b""
    return out


def test_edit_list_that_leaves_out_a_part_of_an_open_group(tmp_path):
    """The demuxer leaves out packets that the pictures before the next random access point need."""
    source = write_video(tmp_path / "1.mp4", codec="hevc", options=x265("keyint=12:bframes=3:b-adapt=0"))
    (tmp_path / "v.mp4").write_bytes(with_edits(source.read_bytes(), (200, 5 * 512), (400, 25 * 512)))
    for read in (lambda path: decode_frames(path, [9]), probe):
        with pytest.raises(VideoError) as error:
            read(tmp_path / "v.mp4")
        assert error.value.status == "damaged"


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_lost_references(tmp_path, ending):
    """A decoder makes up for them without an error, and leaves out some of the pictures that follow."""
    source = write_video(tmp_path / "1.mp4", options=x264("keyint=10:bframes=3:scenecut=0"))
    check_opaque(
        rewrite(tmp_path / f"v.{ending}", [source], lambda part, i, p: None if i in (10, 20) else (bytes(p), p.pts))
    )


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("h264", x264("keyint=10:bframes=3:b-adapt=0:scenecut=0")),
        ("hevc", CLOSED_HEVC),
        ("hevc", x265("keyint=10:bframes=4:b-adapt=0:open-gop=0:repeat-headers=1")),
    ],
)
def test_times_in_the_order_of_decoding_from_somewhere_on(tmp_path, codec, options, ending):
    """The decoder keeps to the order that the pictures tell themselves."""
    source = write_video(tmp_path / "1.mp4", codec=codec, options=options)
    assert demuxed(source).shown is not None
    check_opaque(
        rewrite(
            tmp_path / f"v.{ending}",
            [source],
            lambda part, i, p: (bytes(p), p.pts if i < 20 else p.dts + 2 * p.duration),
        )
    )


def field(frame, bottom, rng):
    """One field of 64 x 32 pixels in plain samples (I_PCM), an IDR picture every five frames."""
    idr = frame % 5 == 0 and not bottom
    bits = Bits().ue(0, 7, 0).u(4, frame % 5).u(1, 1).u(1, bottom)
    bits = (bits.ue(frame // 5 % 2) if idr else bits).u(8, 2 * (frame % 5) + bottom).u(1 + idr, 0).ue(0, 1)
    for _ in range(8):
        bits.ue(25)
        bits.bits += "0" * (-len(bits.bits) % 8)
        for value, count in zip(rng.integers(16, 235, 3).tolist(), (256, 64, 64), strict=True):
            bits.bits += f"{value:08b}" * count
    return bits.unit([0x65 if idr else 0x61])


@pytest.mark.parametrize("ending", ["ts", "mts", "mkv", "mp4"])
def test_fields_in_packets_of_their_own(tmp_path, ending):
    """Camcorders write interlaced H.264 so (AVCHD): two packets are one frame."""
    rng = np.random.default_rng(0)
    sequence = Bits().u(8, 77).u(16, 30).ue(0, 0, 0, 4, 1).u(1, 0).ue(3, 1).u(5, 0b00100).unit([0x67])
    picture = Bits().ue(0, 0).u(2, 0).ue(0, 0, 0).u(3, 0).ue(0, 0, 0).u(3, 0b100).unit([0x68])
    fields = [field(i // 2, i % 2, rng) for i in range(40)]
    fields = [(sequence + picture if i % 10 == 0 else b"") + data for i, data in enumerate(fields)]
    (tmp_path / "v.h264").write_bytes(b"".join(fields))
    raw, target = av.open(str(tmp_path / "v.h264"), format="h264"), av.open(str(tmp_path / f"v.{ending}"), "w")
    with raw, target:
        stream = target.add_stream_from_template(raw.streams.video[0], opaque=True)
        for i, data in enumerate(fields):
            packet = av.Packet(b"\0\0\0\1\x09\xf0" + data)
            packet.stream, packet.time_base, packet.duration = stream, Fraction(1, 50), 1
            packet.pts = packet.dts = i + 50
            packet.is_keyframe = i % 10 == 0
            target.mux(packet)
    assert check_opaque(tmp_path / f"v.{ending}").frames == 20
