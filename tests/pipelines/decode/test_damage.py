"""Files that lack something: cut out of longer ones at any place, or damaged inside. Wrong pictures are errors."""

import av
import numpy as np
import pytest

from pipelines.decode import decode_frames
from pipelines.decode.frames import VideoError
from tests.helpers.decoding import CLOSED, OPEN, check, demuxed, full_decode, x264, x265
from tests.helpers.media import ffmpeg, frame_numbers, write_video


@pytest.mark.parametrize("options", [OPEN, x264("keyint=10:intra-refresh=1"), CLOSED])
@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_cut_out_of_a_longer_file(tmp_path, options, ending):
    """A cut without encoding begins at what the container calls a keyframe, which may need pictures that are gone."""
    source = write_video(tmp_path / "source.mp4", 60, options=options)
    ffmpeg("-ss", 0.9, "-i", source, "-t", 1, "-c", "copy", tmp_path / f"cut.{ending}")
    check(tmp_path / f"cut.{ending}", rounds=5)


def test_hevc_cut_at_an_open_group(tmp_path):
    source = write_video(tmp_path / "source.mp4", 60, codec="hevc", options=x265("keyint=12:b-adapt=0"))
    ffmpeg("-ss", 1.1, "-i", source, "-c", "copy", tmp_path / "cut.mkv")
    info = check(tmp_path / "cut.mkv")
    packets = demuxed(tmp_path / "cut.mkv").facts
    assert info.frames < len(packets)  # leading pictures of the first group are not frames


def test_damaged_cut_out_of_a_longer_file(tmp_path):
    """What a decoder leaves out at the beginning is no damage; what it fills in later is."""
    source = write_video(tmp_path / "source.mp4", 60, options=OPEN)
    ffmpeg("-ss", 0.9, "-i", source, "-c", "copy", tmp_path / "v.mkv")
    cut = demuxed(tmp_path / "v.mkv")
    assert not cut.starts_clean
    largest = max((bytes(packet) for packet in cut.kept[1:]), key=len)
    data = bytearray((tmp_path / "v.mkv").read_bytes())
    at = data.index(largest) + len(largest) // 2
    data[at : at + 40] = bytes(40)
    (tmp_path / "v.mkv").write_bytes(data)
    with pytest.raises(VideoError, match="cannot be decoded in full"):
        decode_frames(tmp_path / "v.mkv", range(30))


@pytest.mark.parametrize(
    ("codec", "ending", "pix_fmt", "unseen"),
    [("h264", "mp4", "yuv420p", 22), ("mpeg4", "mp4", "yuv420p", 4), ("mjpeg", "mov", "yuvj420p", 12)],
)
def test_damage_is_not_concealed(tmp_path, codec, ending, pix_fmt, unseen):
    """A lenient decoder returns nearly all 40 damaged files' pictures without a word; H.264 hides the most."""
    path = write_video(tmp_path / f"v.{ending}", codec=codec, options={"g": "20"}, pix_fmt=pix_fmt)
    original, data, missed = full_decode(path), path.read_bytes(), 0
    for packet in demuxed(path).kept:
        at = packet.pos + packet.size // 2
        path.write_bytes(data[:at] + bytes(20) + data[at + 20 :])
        try:
            missed += not np.array_equal(decode_frames(path, range(40)), original)
        except VideoError as error:
            assert error.status == "damaged"
    assert missed <= unseen


def test_damage_in_needed_pictures_is_named(tmp_path):
    path = write_video(tmp_path / "v.mp4", options=CLOSED)
    with av.open(str(path)) as container:
        at = next(packet.pos + 60 for packet in container.demux(video=0) if packet.pts == 10 * packet.duration)
    data = bytearray(path.read_bytes())
    data[at : at + 40] = bytes(40)
    path.write_bytes(data)
    with pytest.raises(VideoError) as error:
        decode_frames(path, [2, 12])
    assert error.value.status == "damaged"
    np.testing.assert_array_equal(frame_numbers(decode_frames(path, [2, 25])), [2, 25])  # they do not need it
