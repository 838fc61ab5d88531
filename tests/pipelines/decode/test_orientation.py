"""Videos that are shown turned or mirrored: as the ffmpeg program shows them, wherever their frames are used."""

import math
import struct

import numpy as np
import pytest

from pipelines.dali.inputs import check_whole
from pipelines.dataset.clips import Clip
from pipelines.decode import decode_frames
from pipelines.decode.container import VideoError
from pipelines.decode.demux import demux_plain
from pipelines.decode.frames import probe
from pipelines.decode.nvdec import why_not_nvdec
from pipelines.decode.probe import probe_video
from pipelines.decode.remux import remux
from pipelines.decode.stream import read_stream
from pipelines.transcode.copy_options import CopyOptions
from pipelines.transcode.training_copy import write_copy
from tests.helpers.media import as_ffmpeg_shows_it, ffmpeg, write_video

SIZE = (96, 128)
MATRICES = {
    (0, True): (-1, 0, 0, 1),
    (90, False): (0, -1, 1, 0),
    (90, True): (0, 1, 1, 0),
    (180, False): (-1, 0, 0, -1),
    (180, True): (1, 0, 0, -1),
    (270, False): (0, 1, -1, 0),
    (270, True): (0, -1, -1, 0),
}
"""Rotation and mirror -> the part of the matrix that says so."""


def clockwise(degrees: float, mirror: int = 1) -> tuple[float, ...]:
    angle = math.radians(degrees)
    return mirror * math.cos(angle), mirror * math.sin(angle), -math.sin(angle), math.cos(angle)


def shown_by(path, matrix, header=b"tkhd"):
    """Give a file's track or movie (header mvhd) a display matrix."""
    data = bytearray(path.read_bytes())
    at = data.index(header) + (44 if header == b"tkhd" else 40)
    a, b, c, d = (round(value * 65536) for value in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(("rotation", "mirrored"), MATRICES)
def test_eight_orientations(tmp_path, rotation, mirrored):
    path = shown_by(write_video(tmp_path / "v.mp4", 10, SIZE), MATRICES[rotation, mirrored])
    height, width = SIZE[::-1] if rotation % 180 else SIZE
    expected = as_ffmpeg_shows_it(path, height, width)
    frames = decode_frames(path, range(10))
    np.testing.assert_array_equal(frames, expected)
    info = probe(path)
    assert (info.rotation, info.mirrored, info.height, info.width) == (rotation, mirrored, height, width)

    assert demux_plain(path) is None
    assert why_not_nvdec(probe_video(path)) == "shown turned or mirrored"
    clip = Clip(id="v", label=0, path=str(path), frames=10, height=height, width=width, audio="")
    for refuse in (lambda: remux(path, [0]), lambda: check_whole(clip, [0])):
        with pytest.raises(VideoError, match="turned or mirrored") as error:
            refuse()
        assert error.value.status == "rotated"

    y, x = (height - 96) // 2, (width - 96) // 2
    for frame, whole in zip(read_stream(str(path), 25, 1.0), expected, strict=True):
        np.testing.assert_array_equal(frame.image, whole[y : y + 96, x : x + 96])

    write_copy(path, tmp_path / "copy.mp4", CopyOptions(short_side=96, fps=0, crf=10))
    copy, info = decode_frames(tmp_path / "copy.mp4", range(10)), probe(tmp_path / "copy.mp4")
    assert (info.rotation, info.mirrored) == (0, False)
    assert np.abs(copy.astype(int) - expected).mean() < 4  # another picture differs by 60


@pytest.mark.parametrize("matrix", [clockwise(30), clockwise(200.6, -1), clockwise(359), clockwise(1), (0, 0, 0, 0)])
def test_angles_between(tmp_path, matrix):
    """FFmpeg turns by whole degrees within the size of the picture, with black corners."""
    path = shown_by(write_video(tmp_path / "v.mp4", 3, SIZE), matrix)
    expected = as_ffmpeg_shows_it(path, *SIZE)
    np.testing.assert_array_equal(decode_frames(path, range(3)), expected)
    turned = matrix not in ((0, 0, 0, 0), clockwise(1))
    assert (why_not_nvdec(probe_video(path)) == "shown turned or mirrored") == turned
    write_copy(path, tmp_path / "copy.mp4", CopyOptions(short_side=96, fps=0, crf=10))
    assert np.abs(decode_frames(tmp_path / "copy.mp4", range(3)).astype(int) - expected).mean() < 4


def test_the_matrix_of_the_movie_counts_too(tmp_path):
    path = shown_by(write_video(tmp_path / "v.mp4", 3, SIZE), MATRICES[0, True], b"mvhd")
    np.testing.assert_array_equal(decode_frames(path, range(3)), as_ffmpeg_shows_it(path, *SIZE))
    shown_by(path, MATRICES[90, False])
    np.testing.assert_array_equal(decode_frames(path, range(3)), as_ffmpeg_shows_it(path, *SIZE[::-1]))


@pytest.mark.parametrize("name", ["v.mov", "v.mkv", "v.flv"])
def test_other_containers_and_what_the_stream_says(tmp_path, name):
    source, path = write_video(tmp_path / "source.mp4", 20, SIZE, options={"g": "12"}), tmp_path / name
    if name == "v.flv":  # says nothing of it itself; the message comes with the first picture only, and lasts
        ffmpeg("-i", source, "-c", "copy", "-bsf:v", MESSAGE, path)
    else:
        ffmpeg("-display_rotation", 90, "-display_hflip", "-i", source, "-c", "copy", path)
    expected = as_ffmpeg_shows_it(path, *SIZE[::-1])
    np.testing.assert_array_equal(decode_frames(path, range(20)), expected)
    assert probe(path).mirrored
    for frame, whole in zip(read_stream(str(path), 25, 1.0), expected, strict=True):
        np.testing.assert_array_equal(frame.image, whole[16:112])


MESSAGE = "h264_metadata=display_orientation=insert:rotate=90:flip=horizontal"
