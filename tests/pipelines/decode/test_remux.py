"""The small file of needed packets: read back by PyAV bit for bit, and by DALI's CPU decoder."""

import io

import av
import numpy as np
import pytest
from nvidia.dali import fn, pipeline_def, types

from pipelines.decode import decode_frames
from pipelines.decode.bitstream.headers import DELIMITER, _unit_finder
from pipelines.decode.frames import VideoError
from pipelines.decode.remux import black_video, remux
from tests.helpers.decoding import CLOSED, OPEN, x264, x265
from tests.helpers.media import ffmpeg, frame_numbers, write_alt_ref_video, write_video


def read_all(data: bytes) -> tuple[np.ndarray, int]:
    """Every frame of a file in memory, and the number of frames that the file claims."""
    with av.open(io.BytesIO(data), format="mp4") as container:
        stream = container.streams.video[0]
        options = {"format": "rgb24", "src_colorspace": "ITU601", "src_color_range": "MPEG"}
        return np.stack([frame.to_ndarray(**options) for frame in container.decode(stream)]), stream.frames


def read_with_dali(data: bytes, frames: np.ndarray) -> np.ndarray:
    @pipeline_def(batch_size=1, num_threads=1, device_id=None)
    def pipe():
        file = fn.external_source(source=lambda: [np.frombuffer(data, np.uint8)], dtype=types.UINT8, ndim=1)
        numbers = fn.external_source(source=lambda: [frames], dtype=types.INT32, ndim=1)
        return fn.decoders.video(file, device="cpu", frames=numbers, pad_mode="none")

    pipeline = pipe()
    pipeline.build()
    return np.asarray(pipeline.run()[0].at(0))


@pytest.mark.parametrize(
    ("codec", "ending", "options"),
    [
        ("h264", "mp4", CLOSED),
        ("h264", "mkv", OPEN),
        ("h264", "mov", {"g": "1"}),
        ("h264", "avi", {"g": "7", "bf": "0"}),
        ("h264", "mp4", x264("keyint=9:repeat-headers=1:aud=1")),
        ("hevc", "mp4", x265("keyint=10")),
        ("hevc", "mkv", x265("keyint=12:bframes=4:b-adapt=0:b-pyramid=1")),
        ("hevc", "mp4", x265("keyint=12:bframes=3:b-adapt=0:radl=2:open-gop=0")),
        ("vp9", "webm", CLOSED),
        ("vp9", "mp4", {"g": "1"}),
        ("av1", "webm", CLOSED),
    ],
)
def test_new_numbers_name_the_wanted_frames(tmp_path, codec, ending, options):
    path = write_video(tmp_path / f"v.{ending}", 45, codec=codec, options=options, audio=True)
    original = decode_frames(path, range(45))
    rng = np.random.default_rng(0)
    for _ in range(10):
        frames = rng.integers(0, 45, rng.integers(1, 6))
        data, numbers = remux(path, frames)
        pictures, claimed = read_all(data)
        assert claimed == len(pictures)
        assert b"elst" not in data  # an edit list, which could hide frames
        assert numbers.dtype == np.int32
        np.testing.assert_array_equal(pictures[numbers], original[frames])


def test_hevc_runs_far_apart(tmp_path):
    """Where a run begins at an open group, the decoder must not count on from the run before."""
    path = write_video(tmp_path / "v.mp4", 200, codec="hevc", options=x265("keyint=10"))
    for frames in ([174, 2, 23, 172], [0, 150], [71, 199, 128]):
        pictures, numbers = read_all(remux(path, frames)[0])[0], remux(path, frames)[1]
        np.testing.assert_array_equal(frame_numbers(pictures[numbers]), frames)


def test_nothing_but_needed_packets(tmp_path):
    path = write_video(tmp_path / "v.mp4", options=CLOSED)
    data, numbers = remux(path, [30, 0, 30])
    assert read_all(data)[1] == 2
    assert numbers.tolist() == [1, 0, 1]


@pytest.mark.parametrize("ending", ["mp4", "avi"])
@pytest.mark.parametrize("own", [0, 1])
def test_idr_pictures_that_did_not_follow_each_other_are_told_apart(tmp_path, ending, own):
    """Every second one has the same idr_pic_id, the only thing that differs in their headers."""
    path = write_video(tmp_path / f"v.{ending}", options=x264(f"keyint=1:aud={own}"))
    data, numbers = remux(path, range(0, 40, 2))
    with av.open(io.BytesIO(data), format="mp4") as container:
        stream = container.streams.video[0]
        units = _unit_finder(stream.codec_context.extradata, 4)
        kinds = [[byte & 31 for byte in (packet[at] for at in units(packet))] for packet in stream_data(container)]
    assert numbers.tolist() == list(range(20))
    assert len(kinds) == 20
    assert all(found[0] == DELIMITER and found.count(DELIMITER) == 1 for found in kinds[1:])
    assert kinds[0].count(DELIMITER) == own


def stream_data(container):
    return [memoryview(bytes(packet)) for packet in container.demux(video=0) if packet.size]


def test_frames_hidden_by_an_edit_list_are_counted(tmp_path):
    path = write_video(tmp_path / "v.mp4", options={"g": "40"}, pts=[40 * i - 400 for i in range(40)])
    data, numbers = remux(path, [0, 5, 20])
    pictures, claimed = read_all(data)
    assert claimed == len(pictures)
    np.testing.assert_array_equal(frame_numbers(pictures[numbers]), [10, 15, 30])


@pytest.mark.parametrize("pts", [None, [40 * i - 280 for i in range(45)]])
def test_dali_reads_it(tmp_path, pts):
    path = write_video(tmp_path / "v.mp4", 45, codec="vp9", options=CLOSED, pts=pts)
    frames = [37, 0, 22, 22, 9]
    pictures, expected = read_with_dali(*remux(path, frames)), decode_frames(path, frames)
    np.testing.assert_array_equal(frame_numbers(pictures), frame_numbers(expected))
    assert np.abs(pictures.astype(int) - expected).mean() < 2  # DALI rounds the conversion to RGB in its own way


def test_black_video():
    pictures = read_with_dali(black_video(), np.zeros(3, np.int32))
    assert pictures.shape == (3, 256, 256, 3)
    assert pictures.max() <= 2
    assert read_all(black_video())[1] == 1


def test_streams_that_cannot_be_pruned(tmp_path):
    alt_ref, hidden_packets = write_alt_ref_video(tmp_path / "v.webm"), tmp_path / "split.mkv"
    ffmpeg("-i", alt_ref, "-c", "copy", "-bsf:v", "vp9_superframe_split", "-fflags", "-autobsf", hidden_packets)
    pictures, claimed = read_all(remux(alt_ref, [0, 39])[0])
    assert len(pictures) == claimed  # in one packet with a shown picture they do no harm
    made_up_times = write_video(tmp_path / "v.avi", options=x264("b-adapt=0", bf="2"))
    other_codec = write_video(tmp_path / "v.mkv", codec="mjpeg", pix_fmt="yuvj420p")
    for path in (hidden_packets, made_up_times, other_codec):
        with pytest.raises(VideoError, match="training copy") as error:
            remux(path, [0, 39])
        assert error.value.status == "not_prunable"


@pytest.mark.parametrize("rotation", [90, 180])
def test_turned_videos_are_refused(tmp_path, rotation):
    with pytest.raises(VideoError, match="shown turned") as error:
        remux(write_video(tmp_path / "v.mp4", rotation=rotation), [0])
    assert error.value.status == "rotated"


def test_frame_that_is_not_there(tmp_path):
    with pytest.raises(VideoError, match="has 40 frames, frame 40 is wanted") as error:
        remux(write_video(tmp_path / "v.mp4"), [40])
    assert error.value.status == "short"
