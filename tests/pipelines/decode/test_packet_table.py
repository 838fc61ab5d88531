"""Tables of packets: the same frames from a fraction of the bytes, or none."""

import os

import numpy as np
import pytest

from pipelines.decode import decode_frames, packet_table
from pipelines.decode.frames import decode_crop
from pipelines.decode.packet_table import save_table, table_frames
from pipelines.decode.reader import VideoReader
from pipelines.sampling.plan import Crop
from tests.helpers.media import frame_numbers, write_video

SIZE = 96, 128
KINDS = {
    "h264 in MP4": ("a.mp4", "h264", {"g": "24", "bf": "3"}),
    "open groups": ("a.mkv", "h264", {"g": "24", "bf": "3", "x264-params": "open-gop=1"}),
    "hevc": ("a.mkv", "hevc", {"x265-params": "log-level=none:pools=none:frame-threads=1:keyint=24:open-gop=1"}),
    "vp9": ("a.webm", "vp9", {"g": "24"}),
    "transport stream": ("a.ts", "h264", {"g": "24", "bf": "2"}),
}


def tabled(path):
    table = path.with_suffix(".packets")
    with VideoReader(path) as video:
        return table if save_table(video, table) else None


@pytest.mark.parametrize("kind", KINDS)
def test_frames_are_those_of_the_whole_file(tmp_path, kind):
    name, codec, options = KINDS[kind]
    path = write_video(tmp_path / name, 120, codec=codec, options=options)
    table = tabled(path)
    if kind == "transport stream":  # its packets lie there in parts
        assert table is None
        return
    everything = decode_frames(path, range(120))
    rng = np.random.default_rng(0)
    for first, count in ((0, 5), (50, 3), (119, 1), (30, 40), *((leading, 1) for leading in range(44, 50))):
        wanted = sorted(set((first + rng.integers(0, count, 4)).tolist()))
        assert table_frames(path, table, wanted).keys() == set(wanted)
        frames = decode_crop(path, wanted, SIZE, Crop(0, 0, *SIZE), table=str(table))
        assert np.array_equal(frames, everything[wanted])
        assert frame_numbers(frames).tolist() == wanted


def test_only_the_bytes_that_are_needed_are_read(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.mp4", 240, options={"g": "24"})
    table, read = tabled(path), []
    pread = os.pread
    monkeypatch.setattr(
        packet_table.os, "pread", lambda file, size, place: read.append(size) or pread(file, size, place)
    )
    frames = table_frames(path, table, range(100, 110))
    assert len(frames) == 10
    assert len(read) <= 24
    assert sum(read) < path.stat().st_size / 5


def test_a_table_of_another_file_or_a_damaged_one_is_not_used(tmp_path):
    path = write_video(tmp_path / "a.mp4", 60)
    table = tabled(path)
    assert table_frames(path, table, [60]) is None  # not there
    content = table.read_bytes()
    table.write_bytes(content[: len(content) // 2])
    assert table_frames(path, table, [5]) is None
    table.write_bytes(content)
    assert table_frames(path, table, [5])
    os.utime(path, ns=(1, 1))
    assert table_frames(path, table, [5]) is None
    assert table_frames(path, tmp_path / "none", [5]) is None


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_files_that_are_turned(tmp_path, rotation):
    path = write_video(tmp_path / "a.mp4", 60, rotation=rotation, options={"g": "12"})
    table, wanted = tabled(path), [30, 33, 50]
    expected = decode_frames(path, wanted)
    size = expected.shape[1:3]
    assert (size != SIZE) == (rotation != 180)
    assert table_frames(path, table, wanted).keys() == set(wanted)
    assert np.array_equal(decode_crop(path, wanted, size, Crop(0, 0, *size), table=str(table)), expected)


def test_damage_within_the_packets_is_left_to_the_reader_of_whole_files(tmp_path):
    path = write_video(tmp_path / "a.mp4", 60, options={"g": "12"})
    table, status = tabled(path), path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 4 : 3 * len(content) // 4] = b"\xff" * (3 * len(content) // 4 - len(content) // 4)
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert table_frames(path, table, [30]) is None
