"""Streams whose times, keyframe flags, tables or parameter sets are not what a decoder needs, in all codecs."""

import numpy as np
import pytest

from pipelines.decode.remux import remux
from tests.helpers.decoding import check, demuxed, full_decode, rewrite, x264, x265
from tests.helpers.media import ffmpeg, write_video


def swapped(number: int) -> int:
    """Times of every eighth and ninth picture of ten are exchanged."""
    return number + {7: 1, 8: -1}.get(number % 10, 0)


@pytest.mark.parametrize(
    ("codec", "ending", "options"),
    [
        ("h264", "mp4", {"bf": "0", "g": "15"}),
        ("h264", "mkv", {"bf": "0", "g": "15"}),
        ("vp8", "webm", {"g": "15"}),
        ("vp9", "webm", {"g": "15"}),
        ("av1", "mkv", {"g": "15"}),
        ("mpeg4", "mp4", {"g": "15"}),
    ],
)
def test_times_that_do_not_rise_where_no_picture_changes_its_place(tmp_path, codec, ending, options):
    source = write_video(tmp_path / f"1.{ending}", codec=codec, options=options)

    def change(part, number, packet):
        return bytes(packet), packet.dts + (swapped(number) - number + 2) * packet.duration

    path = rewrite(tmp_path / f"v.{ending}", [source], change)
    check(path, rounds=4)
    np.testing.assert_array_equal(full_decode(path)[8], full_decode(source)[8])
    assert demuxed(path).shown is None


def test_mpeg4_without_a_list_of_keyframes(tmp_path):
    """All packets count as keyframes then."""
    path = write_video(tmp_path / "v.mp4", codec="mpeg4", options={"g": "12"})
    path.write_bytes(path.read_bytes().replace(b"stss", b"free"))
    check(path)
    assert sum(fact.start for fact in demuxed(path).facts) == 4


@pytest.mark.parametrize("ending", ["avi", "mp4"])
def test_mpeg4_whose_head_says_nothing_of_its_b_frames(tmp_path, ending):
    parts = [
        write_video(tmp_path / f"{b_frames}.avi", 24, codec="mpeg4", options={"g": "12", "bf": b_frames})
        for b_frames in ("0", "2")
    ]
    (tmp_path / "list.txt").write_text("".join(f"file {part.name}\n" for part in parts))
    ffmpeg("-f", "concat", "-i", tmp_path / "list.txt", "-c", "copy", tmp_path / f"v.{ending}")
    check(tmp_path / f"v.{ending}")


@pytest.mark.parametrize(
    ("codec", "options", "lost"),
    [
        ("hevc", x265("keyint=20:bframes=3:b-adapt=0:open-gop=0:b-pyramid=1"), 12),
        ("hevc", x265("keyint=10:bframes=3:b-adapt=0"), 14),
        ("mpeg4", {"g": "12", "bf": "2"}, 16),
    ],
)
def test_lost_pictures(tmp_path, codec, options, lost):
    """A decoder leaves out some of the pictures that need them."""
    source = write_video(tmp_path / "1.mp4", codec=codec, options=options)
    assert demuxed(source).shown is not None

    def change(part, number, packet):
        return None if number == lost else (bytes(packet), packet.pts)

    path = rewrite(tmp_path / "v.mkv", [source], change)
    check(path)
    assert demuxed(path).shown is None


def full_range(tmp_path, codec, number, full):
    options = {"h264": x264("keyint=10:bframes=0:repeat-headers=1"), "hevc": x265("keyint=10:repeat-headers=1")}[codec]
    return write_video(tmp_path / f"{number}.mp4", 20, codec=codec, options=options, full_range=full)


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_parameter_sets_that_replace_others(tmp_path, codec):
    """The second part says nothing of its range; a decoder stays with that of the first."""
    parts = [full_range(tmp_path, codec, number, full) for number, full in enumerate((True, False))]
    path = rewrite(tmp_path / "v.mp4", parts)
    check(path)
    assert demuxed(path).shown is None
    same = rewrite(tmp_path / "same.mp4", parts[:1] * 2)
    check(same)
    assert len(demuxed(same).shown) == 40


def test_random_access_points_without_all_parameter_sets(tmp_path):
    first = write_video(tmp_path / "1.mp4", 24, options=x264("keyint=12:bframes=0:ref=1"))
    other = x264("keyint=12:bframes=0:ref=4:8x8dct=0:weightp=0:repeat-headers=1")
    second = write_video(tmp_path / "2.mp4", 24, options=other)

    def change(part, number, packet):
        """The sequence parameter set comes with the second part's first picture only."""
        data, kept, position = bytes(packet), b"", 0
        while position < len(data):
            end = position + 4 + int.from_bytes(data[position : position + 4], "big")
            if not (part and number and data[position + 4] & 31 == 7):
                kept += data[position:end]
            position = end
        return kept, packet.pts

    check(rewrite(tmp_path / "v.mp4", [first, second], change))


def test_mpeg4_layers_that_replace_others(tmp_path):
    options = {"g": "12", "qscale": "4"}
    parts = [
        write_video(tmp_path / "1.avi", 24, codec="mpeg4", options=options),
        write_video(tmp_path / "2.avi", 24, codec="mpeg4", options=options | {"mpeg_quant": "1", "flags": "+qpel"}),
    ]

    def change(part, number, packet):
        data = bytes(packet)
        return (data if part and not number else data[data.index(b"\0\0\1\xb6") :]), packet.pts

    check(rewrite(tmp_path / "v.avi", parts, change))


@pytest.mark.parametrize("ending", ["avi", "mp4"])
def test_mpeg4_whose_first_packet_alone_names_its_encoder(tmp_path, ending):
    """FFmpeg decodes all that follows with another transform."""
    source = write_video(tmp_path / f"1.{ending}", codec="mpeg4", options={"g": "12", "qscale": "4"})

    def change(part, number, packet):
        data = bytes(packet)
        at = data.index(b"\0\0\1\xb6")
        return data[:at] + b"\0\0\1\xb2XviD0050" * (number == 0) + data[at:], packet.pts

    path = rewrite(tmp_path / f"v.{ending}", [source], change)
    pairs = zip(full_decode(path)[24:], full_decode(source)[24:], strict=True)
    assert all((one != other).any() for one, other in pairs)
    check(path)


@pytest.mark.parametrize("tables", [{0xDB}, {0xC4}, {0xDB, 0xC4}])
def test_mjpeg_with_tables_in_its_first_picture_only(tmp_path, tables):
    """The pictures are the same, and so are the codes that the encoder makes for each of them."""
    source = tmp_path / "1.avi"
    noise = ["-f", "lavfi", "-i", "nullsrc=size=96x64:rate=25,geq=lum='mod(X*X*7+Y*Y*3,256)':cb=X:cr=Y"]
    ffmpeg(*noise, "-frames:v", 30, "-c:v", "mjpeg", "-q:v", 3, "-pix_fmt", "yuvj420p", source)

    def change(part, number, packet):
        data = bytes(packet)
        kept, position = data[:2], 2
        while data[position + 1] != 0xDA:
            end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
            if not number or data[position + 1] not in tables:
                kept += data[position:end]
            position = end
        return kept + data[position:], packet.pts

    path = rewrite(tmp_path / "v.avi", [source], change)
    np.testing.assert_array_equal(full_decode(path), full_decode(source))
    assert sum(fact.start for fact in demuxed(path).facts) == 1
    assert sum(fact.start for fact in demuxed(source).facts) == 30
    check(path)


def test_av1_packets_that_are_not_one_shown_picture(tmp_path):
    source = write_video(tmp_path / "1.mkv", 60, codec="av1", options={"g": "30"})
    path = tmp_path / "v.mkv"
    split = ["-bsf:v", "av1_frame_split,setts=pts=N*20:dts=N*20", "-fflags", "-autobsf"]
    ffmpeg("-i", source, "-c", "copy", *split, path)
    facts = demuxed(path).facts
    assert len(facts) > 60
    check(path)


def test_hevc_runs_whose_pictures_might_be_mixed_up(tmp_path):
    """Where a run begins at an open group, a decoder counts from its low bits on, here modulo 16."""
    path = write_video(tmp_path / "v.mp4", 200, codec="hevc", options=x265("keyint=12:bframes=2:log2-max-poc-lsb=4"))
    original, rng = full_decode(path), np.random.default_rng(0)
    for _ in range(25):
        frames = rng.choice(200, rng.integers(2, 6), replace=False)
        data, numbers = remux(path, frames)
        (tmp_path / "small.mp4").write_bytes(data)
        pictures = full_decode(tmp_path / "small.mp4")
        assert len(pictures) > max(numbers)
        for frame, number in zip(frames, numbers, strict=True):
            np.testing.assert_array_equal(pictures[number], original[frame])


def test_vp9_that_mp4_cannot_hold_is_decoded_on_the_cpu(tmp_path):
    path = write_video(tmp_path / "v.webm", codec="vp9", pix_fmt="yuv440p")
    with pytest.raises(ValueError, match="cannot be chosen from"):
        remux(path, [3])
    assert check(path).frames == 40


def test_hidden_packets_with_times_that_cannot_be_true(tmp_path):
    """The pictures of the pruned file would change places with them."""
    options = x264("keyint=60:bframes=3:b-adapt=0:b-pyramid=strict")
    source = write_video(tmp_path / "1.mp4", 20, options=options)
    path = tmp_path / "v.mov"
    fragments = ["-movflags", "+default_base_moof+frag_every_frame", "-avoid_negative_ts", "disabled"]
    ffmpeg("-i", source, "-c", "copy", *fragments, path)
    check(path)
    assert any(fact.frame is False for fact in demuxed(path).facts)
    with pytest.raises(ValueError, match="cannot be chosen from"):
        remux(path, [0])
