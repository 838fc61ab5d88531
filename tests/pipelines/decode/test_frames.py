"""Wanted frames against a plain full decode, bit for bit: codecs, groups of pictures, containers, times, sizes."""

import numpy as np
import pytest

from pipelines.decode import decode_frames, demux
from pipelines.decode.frames import VideoError, probe
from tests.helpers.decoding import CLOSED, OPEN, check, demuxed, selected, x264, x265
from tests.helpers.media import ffmpeg, frame_numbers, write_alt_ref_video, write_video

STREAMS = [
    ("h264", "mp4", CLOSED),
    ("h264", "mkv", CLOSED),
    ("h264", "mov", CLOSED),
    ("h264", "mp4", OPEN),
    ("h264", "mkv", OPEN),
    ("h264", "mp4", x264("keyint=14:b-pyramid=strict:b-adapt=0", bf="3")),
    ("h264", "mp4", x264("keyint=20:b-pyramid=normal:b-adapt=0:ref=8:weightp=2", bf="5")),
    ("h264", "mp4", {"bf": "0"}),
    ("h264", "mp4", {"g": "1"}),
    ("h264", "mp4", x264("keyint=10:intra-refresh=1")),
    ("h264", "mp4", x264("keyint=12:slices=4")),
    ("h264", "mp4", x264("keyint=12:interlaced=1")),
    ("h264", "mov", x264("keyint=9:repeat-headers=1:aud=1")),
    ("h264", "avi", {"g": "10", "bf": "0"}),
    ("hevc", "mp4", x265("keyint=10")),  # open groups of pictures, as x265 makes them by default
    ("hevc", "mkv", x265("keyint=12:bframes=4:b-adapt=0:b-pyramid=1")),
    ("hevc", "mov", x265("keyint=10:open-gop=0")),
    ("hevc", "mp4", x265("keyint=12:bframes=3:b-adapt=0:radl=2:open-gop=0")),
    ("hevc", "mp4", x265("keyint=16:bframes=4:b-adapt=0:temporal-layers=3")),
    ("hevc", "mkv", x265("keyint=10:repeat-headers=1")),
    ("vp8", "webm", CLOSED),
    ("vp8", "mkv", {"g": "1"}),
    ("vp9", "webm", CLOSED),
    ("vp9", "mp4", {"g": "16", "error-resilient": "1"}),
    ("vp9", "mkv", {"g": "1"}),
    ("av1", "mp4", CLOSED),
    ("av1", "webm", {"svtav1-params": "lp=1:enable-tf=0:irefresh-type=1:keyint=10"}),
    ("mpeg4", "avi", CLOSED),
    ("mpeg4", "mp4", {"g": "10", "bf": "2"}),
    ("mjpeg", "avi", {}),
    ("mjpeg", "mov", {}),
    ("h264", "ts", CLOSED),
    ("h264", "mts", OPEN),
    ("h264", "m2ts", x264("keyint=20:b-pyramid=normal:b-adapt=0:ref=8", bf="5")),
    ("hevc", "ts", x265("keyint=10")),
    ("h264", "flv", x264("keyint=14:b-adapt=0", bf="3")),
    ("h264", "3gp", CLOSED),
    ("mpeg4", "3g2", CLOSED),
    ("mpeg4", "asf", CLOSED),
]
"""Streams whose packets tell the order of the frames."""

OPAQUE_STREAMS = [
    ("h264", "avi", x264("keyint=12:b-adapt=0", bf="3")),  # AVI does not say when a picture is shown
    ("mpeg2", "mkv", {"g": "10", "bf": "2"}),  # a codec whose headers are not read
    ("mpeg2", "ts", {"g": "10", "bf": "2"}),
    ("mpeg2", "mpg", {"g": "10", "bf": "2"}),
    ("h264", "mpeg", CLOSED),  # a program stream tells the time of some pictures only
    ("h264", "wmv", x264("keyint=12:b-adapt=0", bf="3")),
]
"""Streams that must be decoded in full."""


@pytest.mark.parametrize(("codec", "ending", "options"), STREAMS)
def test_frames_from_few_packets(tmp_path, codec, ending, options):
    pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    path = write_video(tmp_path / f"v.{ending}", 45, codec=codec, options=options, pix_fmt=pix_fmt)
    info = check(path)
    assert (info.frames, info.fps, info.codec, info.pix_fmt) == (45, 25, codec, pix_fmt)
    assert not info.variable_rate
    np.testing.assert_array_equal(frame_numbers(decode_frames(path, [40, 3, 40, 17])), [40, 3, 40, 17])
    assert set(selected(path, {1, 12, 25, 44})) == {1, 12, 25, 44}


@pytest.mark.parametrize(("codec", "ending", "options"), OPAQUE_STREAMS)
def test_frames_from_a_full_decode(tmp_path, codec, ending, options):
    path = write_video(tmp_path / f"v.{ending}", codec=codec, options=options)
    check(path, rounds=5)
    assert demuxed(path).shown is None


@pytest.mark.parametrize(
    ("name", "encoders"),
    [
        ("v.ogv", ("libtheora", "libvorbis")),
        ("v.wmv", ("wmv2", "wmav2")),
        ("v.flv", ("flv", "libmp3lame")),
        ("v.mpg", ("mpeg1video", "mp2")),
        ("v.3gp", ("h263", "aac")),
    ],
)
def test_formats_that_only_the_ffmpeg_program_writes(tmp_path, name, encoders):
    source = write_video(tmp_path / "source.mp4", size=(144, 176), options={"crf": "1"}, audio=True)
    video, audio = encoders
    ffmpeg("-i", source, "-c:v", video, "-q:v", "3", "-c:a", audio, "-ar", "44100", tmp_path / name)
    info = check(tmp_path / name, rounds=5)
    assert (info.frames, info.fps, info.audio_rate) == (40, 25, 44100)
    np.testing.assert_array_equal(frame_numbers(decode_frames(tmp_path / name, [0, 17, 39])), [0, 17, 39])


@pytest.mark.parametrize("later", [0, 20000])
def test_recordings_put_together_are_an_error(tmp_path, later):
    """The packets of a transport stream are numbered, and the times of the second one begin anew."""
    first = write_video(tmp_path / "1.ts", 30, options=CLOSED, pts=[later + 40 * i for i in range(30)])
    second = write_video(tmp_path / "2.ts", 20, options=CLOSED, first_number=30)
    (tmp_path / "both.ts").write_bytes(first.read_bytes() + second.read_bytes())
    with pytest.raises(VideoError) as error:
        probe(tmp_path / "both.ts")
    assert error.value.status == "damaged"


@pytest.mark.parametrize("codec", ["vp8", "vp9"])
def test_pictures_that_are_never_shown(tmp_path, codec):
    path = write_alt_ref_video(tmp_path / "v.webm", codec=codec)
    if codec == "vp9":  # from one packet with the shown picture to a packet of their own
        ffmpeg(
            "-i", path, "-c", "copy", "-bsf:v", "vp9_superframe_split", "-fflags", "-autobsf", tmp_path / "split.mkv"
        )
        check(path, rounds=5)
        path = tmp_path / "split.mkv"
    assert check(path).frames == 40
    packets = demuxed(path)
    assert len(packets.facts) > len(packets.shown) == 40


def test_only_needed_packets_are_decoded(tmp_path):
    path = write_video(tmp_path / "v.mp4", options=x264("keyint=10:scenecut=0:b-adapt=0:b-pyramid=none", bf="3"))
    runs = demuxed(path).runs({1, 31})  # shown: I b b b P b b b P P in each group of ten
    assert [len(run.packets) for run in runs] == [3, 3]  # of 40: I, P and the wanted b


def test_large_files_are_read_again_instead_of_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(demux, "KEEP_BYTES", 2000)
    path = write_video(tmp_path / "v.mp4", options=CLOSED)
    assert demuxed(path).kept is None
    check(path, rounds=5)
