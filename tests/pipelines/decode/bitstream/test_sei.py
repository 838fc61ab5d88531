"""Messages in a stream by which pictures are changed after the decoder, or decoded by other rules."""

import pytest

from pipelines.decode.bitstream.hevc import SliceReader
from pipelines.decode.bitstream.sei import T35, alters_pictures, messages
from tests.helpers.decoding import check, demuxed, full_decode, rewrite, x264, x265
from tests.helpers.media import ffmpeg, write_video
from tests.pipelines.decode.bitstream.bits import Bits

HEADS = {"h264": bytes([6]), "hevc": bytes([39 << 1, 1])}
OPTIONS = {"h264": x264("keyint=10:bframes=2"), "hevc": x265("keyint=10:bframes=2")}
FILM_GRAIN, ORIENTATION = 19, 47


def unit(codec: str, kind: int, payload: bytes) -> bytes:
    """A unit with one message, as MP4 files hold it."""
    data = HEADS[codec] + bytes([kind, len(payload)]) + payload.replace(b"\0\0", b"\0\0\3") + b"\x80"
    return len(data).to_bytes(4, "big") + data


def payload(bits: Bits) -> bytes:
    text = bits.bits + "1" * (len(bits.bits) % 8 > 0)
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def film_grain(codec: str) -> bytes:
    """Of luma alone, the same for all intensities, lasting."""
    bits = Bits().u(1, 0).u(2, 0).u(1, 0).u(2, 0).u(4, 5).u(1, 1).u(1, 0).u(1, 0)
    bits.u(8, 0).u(3, 0).u(8, 0).u(8, 255).ue(2 * 200 - 1)
    return payload(bits.ue(1) if codec == "h264" else bits.u(1, 1))


def upside_down(codec: str) -> bytes:
    bits = Bits().u(1, 0).u(1, 0).u(1, 0).u(16, 1 << 15)
    return payload(bits.ue(1).u(1, 0) if codec == "h264" else bits.u(1, 1))


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("everywhere", [False, True])
@pytest.mark.parametrize(("kind", "content"), [(FILM_GRAIN, film_grain), (ORIENTATION, upside_down)])
def test_messages_that_change_pictures(tmp_path, codec, kind, content, everywhere):
    """They last, but for grain in H.264, which FFmpeg adds where its message stands. Decoders of GPUs heed none."""
    source = write_video(tmp_path / "1.mp4", codec=codec, options=OPTIONS[codec])

    def change(part, number, packet):
        told = everywhere or number == 0
        return unit(codec, kind, content(codec)) * told + bytes(packet), packet.pts

    path = rewrite(tmp_path / "v.mp4", [source], change)
    pairs = zip(full_decode(path), full_decode(source), strict=True)
    changed = [bool((one != other).any()) for one, other in pairs]
    assert changed[0]
    assert all(changed) == (codec == "hevc" or everywhere or kind == ORIENTATION)
    check(path)
    assert demuxed(path).shown is None


def test_old_x264(tmp_path):
    """FFmpeg decodes what it left out in lossless 4:4:4 as it was coded, if the first packet names it."""
    source = tmp_path / "1.mp4"
    encoder = ["-c:v", "libx264", "-x264-params", "keyint=10:qp=0:cabac=0", "-pix_fmt", "yuv444p"]
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=176x144:rate=25", "-frames:v", 40, *encoder, source)
    assert len(demuxed(source).shown) == 40

    def change(part, number, packet):
        return named(bytes(packet), b"148"), packet.pts

    path = rewrite(tmp_path / "v.mp4", [source], change)
    pairs = zip(full_decode(path)[12:], full_decode(source)[12:], strict=True)
    assert any((one != other).any() for one, other in pairs)
    check(path)


@pytest.mark.parametrize(("build", "is_special"), [(b"148", False), (b"034", False), (b"033", True)])
def test_other_streams_of_x264(tmp_path, build, is_special):
    source = write_video(tmp_path / "1.mp4", options=OPTIONS["h264"])
    path = rewrite(tmp_path / "v.mp4", [source], lambda part, number, packet: (named(bytes(packet), build), packet.pts))
    assert b"core " + build in path.read_bytes()
    assert (demuxed(path).shown is None) == is_special
    check(path)


def named(data: bytes, build: bytes) -> bytes:
    """A packet whose encoder, if it names itself, is of this build."""
    at = data.find(b"x264 - core ") + 12
    return data[:at] + build + data[at + 3 :] if at > 11 else data


def test_messages_in_the_container_of_hevc():
    """FFmpeg reads them before the first packet."""
    for kind in (FILM_GRAIN, 5):
        data = unit("hevc", kind, bytes(20))[4:]
        reader = SliceReader(b"\1" + bytes(21) + b"\1\x27\0\1" + len(data).to_bytes(2, "big") + data)
        reader.read(memoryview(b""), [])
        assert (reader.shown is None) == (kind == FILM_GRAIN)


def test_film_grain_of_aomedia():
    assert alters_pictures(T35, b"\xb5\x58\x90\0\1")
    assert not alters_pictures(T35, b"\xb5\0\x31GA94")  # captions


def test_parts_of_messages():
    long = bytes(300)
    unit = b"\x01\x02ab\xff\x05\x01c\x05\xff\x2d" + long + b"\x80"
    assert list(messages(unit)) == [(1, b"ab"), (260, b"c"), (5, long)]
    for cut in range(len(unit)):
        list(messages(unit[:cut]))
