"""Packets without a byte, as recorders leave them behind: no frames, as FFmpeg has it, wherever frames are used."""

import struct
from pathlib import Path

import numpy as np
import pytest

from pipelines.dali.inputs import check_whole
from pipelines.decode import decode_frames
from pipelines.decode.container import VideoError
from pipelines.decode.frames import probe
from pipelines.decode.probe import probe_video
from pipelines.decode.remux import remux
from pipelines.decode.stream import read_stream
from pipelines.decode.timestamps import frame_times
from pipelines.transcode.copy_options import CopyOptions
from pipelines.transcode.training_copy import write_copy
from tests.helpers.decoding import X265
from tests.helpers.media import as_ffmpeg_shows_it, frame_numbers, write_video
from tests.pipelines.dali.test_inputs import clip_of
from tests.pipelines.decode.test_remux import read_all

B_FRAMES = {"bf": "2", "x264-params": "b-adapt=0:b-pyramid=none:scenecut=0"}
SETTINGS = {
    "mjpeg": {"pix_fmt": "yuvj420p"},
    "h264": {"options": B_FRAMES},
    "hevc": {"options": {"x265-params": f"{X265}:bframes=0"}},
}


def emptied(path: Path, samples: list[int]) -> Path:
    """Take all bytes from some samples of an MP4 file whose samples follow each other in one chunk."""
    data = bytearray(path.read_bytes())
    at, chunk = data.index(b"stsz") + 12, data.index(b"stco") + 8
    (count,), (chunks, start) = struct.unpack_from(">I", data, at), struct.unpack_from(">II", data, chunk)
    assert chunks == 1
    sizes = struct.unpack_from(f">{count}I", data, at + 4)
    kept, position = b"", start
    for number, size in enumerate(sizes):
        if number in samples:
            data[at + 4 + 4 * number : at + 8 + 4 * number] = bytes(4)
        else:
            kept += data[position : position + size]
        position += size
    data[start:position] = kept.ljust(position - start, b"\0")
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("codec", "samples"),
    [
        *(("h264", [19]), ("h264", [17, 18, 19]), ("h264", [11, 12, 19])),  # the latter are referred to by none
        *(("hevc", [19]), ("mjpeg", [0, 7, 8]), ("mpeg4", [7, 19]), ("vp9", [18, 19])),
    ],
)
def test_an_empty_sample_is_no_frame(tmp_path, codec, samples):
    path = emptied(write_video(tmp_path / "v.mp4", 20, codec=codec, **SETTINGS.get(codec, {})), samples)
    expected = as_ffmpeg_shows_it(path, 96, 128)
    assert len(expected) == 20 - len(samples)
    assert probe_video(path, "decoded")["frames"] == len(expected)
    np.testing.assert_array_equal(decode_frames(path, range(len(expected))), expected)
    numbers = frame_numbers(expected).tolist()
    if codec not in ("mpeg4", "vp9"):  # later pictures of these are made from what is lost
        _, times = frame_times(path, len(expected), probe(path).fps)
        np.testing.assert_allclose(times, (np.array(numbers) - numbers[0]) / 25, atol=1e-6)
    assert len(list(read_stream(str(path), 25, 1.0))) == len(expected)
    write_copy(path, tmp_path / "copy.mp4", CopyOptions(short_side=96, fps=0))
    assert frame_numbers(decode_frames(tmp_path / "copy.mp4", range(len(expected)))).tolist() == numbers


def test_ways_through_nvdec(tmp_path):
    path = emptied(write_video(tmp_path / "v.mp4", 20), [18, 19])
    data, frames = remux(path, [0, 9, 17])
    np.testing.assert_array_equal(read_all(data)[0][frames], decode_frames(path, [0, 9, 17]))
    check_whole(clip_of(path), [17])
    path = emptied(write_video(tmp_path / "v.mp4", 20, options=B_FRAMES), [11])
    with pytest.raises(VideoError, match="not every packet is a frame"):  # a reader may count it
        check_whole(clip_of(path), [17])


def test_a_lost_reference_picture_is_damage(tmp_path):
    path = emptied(write_video(tmp_path / "v.mp4", 20, codec="hevc", **SETTINGS["hevc"]), [10])
    with pytest.raises(VideoError, match="damaged"):
        probe(path)
