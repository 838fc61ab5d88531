"""The sample table that is read directly, against FFmpeg's demuxer; and files that are left to FFmpeg."""

import tracemalloc
from pathlib import Path

import av
import numpy as np
import pytest

from pipelines.decode import decode_frames
from pipelines.decode.bitstream.mp4 import SampleTable, sample_table
from tests.helpers.decoding import check, demuxed
from tests.helpers.media import ffmpeg, frame_numbers, write_video


def table_of(path: Path) -> SampleTable | None:
    return sample_table(path.read_bytes())


def is_plain(path: Path) -> bool:
    return table_of(path) is not None


def patched(path: Path, old: bytes, new: bytes) -> Path:
    data = path.read_bytes()
    assert data.count(old) == 1
    path.write_bytes(data.replace(old, new))
    return path


@pytest.mark.parametrize("ending", ["mp4", "mov"])
@pytest.mark.parametrize(
    ("codec", "options"),
    [("h264", {"bf": "3"}), ("h264", {"bf": "0"}), ("h264", {"g": "1"}), ("hevc", {})],
)
@pytest.mark.parametrize("faststart", [False, True])
def test_the_table_is_that_of_ffmpeg(tmp_path, ending, codec, options, faststart):
    flags = {"movflags": "faststart"} if faststart else {}
    path = write_video(tmp_path / f"v.{ending}", codec=codec, options=options, audio=True, container_options=flags)
    table, data = table_of(path), path.read_bytes()
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.size]
        assert (table.codec, table.extradata) == (codec, stream.codec_context.extradata)
    found = [data[at : at + size] for at, size in zip(table.offsets, table.sizes, strict=True)]
    assert found == [bytes(packet) for packet in packets]
    shift = {packet.pts - pts for packet, pts in zip(packets, table.pts.tolist(), strict=True)}
    assert len(shift) == 1  # the edit list moves all times alike


def test_chunks_of_many_samples(tmp_path):
    source = write_video(tmp_path / "v.mp4", 60, audio=True)
    ffmpeg("-i", source, "-c", "copy", "-max_interleave_delta", "0", "-min_frag_duration", "0", tmp_path / "w.mp4")
    assert is_plain(tmp_path / "w.mp4")
    check(tmp_path / "w.mp4", rounds=3)


def test_one_size_for_all_samples_is_left_to_ffmpeg(tmp_path):
    path = write_video(tmp_path / "v.mp4", 2)
    data = path.read_bytes()
    at = data.index(b"stsz")
    assert is_plain(path)
    assert sample_table(data[: at + 8] + data[at + 16 : at + 20] + data[at + 12 :]) is None


@pytest.mark.parametrize("start", [0, 3])
def test_an_edit_list_that_hides_frames_is_left_to_ffmpeg(tmp_path, start):
    path = write_video(tmp_path / "v.mp4", 20, pts=[40 * (i - start) for i in range(20)])
    assert is_plain(path) == (start == 0)
    assert check(path, rounds=3).frames == 20 - start


def test_an_edit_list_that_ends_early_is_left_to_ffmpeg(tmp_path):
    path = write_video(tmp_path / "v.mp4", 40, options={"bf": "0"})
    data = path.read_bytes()
    at = data.index(b"elst") + 12
    duration = int.from_bytes(data[at : at + 4], "big")
    for kept in (1, 0.5):
        path.write_bytes(data[:at] + int(duration * kept).to_bytes(4, "big") + data[at + 4 :])
        assert is_plain(path) == (kept == 1)
        assert (check(path, rounds=3).frames < 40) == (kept < 1)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("v.mp4", {"container_options": {"movflags": "frag_keyframe+empty_moov"}}),
        ("v.mp4", {"rotation": 90}),
        ("v.mp4", {"codec": "vp9"}),
        ("v.mp4", {"codec": "mpeg4"}),
        ("v.mkv", {}),
        ("v.avi", {}),
    ],
)
def test_what_is_not_plain_is_left_to_ffmpeg(tmp_path, name, settings):
    path = write_video(tmp_path / name, 20, **settings)
    assert not is_plain(path)
    check(path, rounds=3)


def test_two_video_tracks_are_left_to_ffmpeg(tmp_path):
    first, second = write_video(tmp_path / "a.mp4"), write_video(tmp_path / "b.mp4", first_number=100)
    ffmpeg("-i", first, "-i", second, "-map", 0, "-map", 1, "-c", "copy", tmp_path / "v.mp4")
    assert not is_plain(tmp_path / "v.mp4")
    check(tmp_path / "v.mp4", rounds=2)


def test_reordered_pictures_without_their_times(tmp_path):
    """Then only a decode can tell the order of the frames, as for AVI."""
    path = write_video(tmp_path / "v.mp4", options={"bf": "3", "x264-params": "b-adapt=0:scenecut=0"})
    for box in (b"ctts", b"edts"):
        patched(path, box, b"free")
    assert is_plain(path)
    assert demuxed(path).shown is None
    check(path, rounds=4)
    numbers = [frame_numbers(decode_frames(path, [frame]))[0] for frame in range(40)]
    assert numbers == list(range(40))  # one at a time: few packets, in whose order nothing looks wrong


def test_full_range_by_the_container_is_left_to_ffmpeg(tmp_path):
    path = write_video(tmp_path / "v.mp4", 10)
    ffmpeg("-i", path, "-c", "copy", "-color_range", "pc", "-movflags", "write_colr", tmp_path / "w.mp4")
    data = (tmp_path / "w.mp4").read_bytes()
    assert b"nclx" in data
    assert is_plain(tmp_path / "w.mp4") == (not data[data.index(b"nclx") + 10] >> 7)


def test_a_cut_file_is_left_to_ffmpeg(tmp_path):
    data = write_video(tmp_path / "v.mp4", 20, container_options={"movflags": "faststart"}).read_bytes()
    assert sample_table(data) is not None
    assert not any(sample_table(data[:length]) for length in range(0, len(data), 97))


def test_a_movie_whose_clock_stands_still_is_left_to_ffmpeg(tmp_path):
    data = write_video(tmp_path / "v.mp4", 40).read_bytes()
    assert b"elst" in data
    assert sample_table(data) is not None
    at = data.index(b"mvhd") + 16
    assert sample_table(data[:at] + bytes(4) + data[at + 4 :]) is None


def test_changed_tables_neither_raise_nor_take_memory(tmp_path):
    """Whatever a table says, what is returned lies inside the file, and no more memory is taken than that calls for."""
    data = write_video(tmp_path / "v.mp4", 40, audio=True).read_bytes()
    begin = data.index(b"moov")
    rng = np.random.default_rng(0)
    tracemalloc.start()
    found = 0
    for _ in range(3000):
        changed = bytearray(data)
        for _ in range(rng.integers(1, 4)):
            at = int(rng.integers(begin, len(data) - 4))
            changed[at : at + 4] = rng.choice([b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", rng.bytes(4)])
        table = sample_table(bytes(changed))
        if table is not None:
            found += 1
            assert len(table.offsets) == len(table.sizes) == len(table.pts) <= len(data)
            assert table.offsets.min() > 0
            assert (table.offsets + table.sizes).max() <= len(data)
    assert 0 < found < 3000
    assert tracemalloc.get_traced_memory()[1] < 20 << 20
    tracemalloc.stop()
