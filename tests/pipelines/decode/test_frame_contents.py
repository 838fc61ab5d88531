"""Which frames a file shows, and what they look like: edit lists, odd times, sizes, rotation, colors."""

import av
import numpy as np
import pytest

from pipelines.decode import decode_frames
from pipelines.decode.frames import VideoError, probe
from tests.helpers.decoding import CLOSED, check, demuxed
from tests.helpers.media import ffmpeg, frame_numbers, write_video


@pytest.mark.parametrize("ending", ["mp4", "mov"])
def test_edit_list_hides_frames(tmp_path, ending):
    path = write_video(tmp_path / f"v.{ending}", options=CLOSED, pts=[40 * i - 400 for i in range(40)])
    assert check(path).frames == 30
    np.testing.assert_array_equal(frame_numbers(decode_frames(path, [0, 29])), [10, 39])


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_first_frame_later_than_zero(tmp_path, ending):
    path = write_video(tmp_path / f"v.{ending}", options=CLOSED, pts=[40 * i + 500 for i in range(40)])
    assert not check(path).variable_rate
    assert frame_numbers(decode_frames(path, [0]))[0] == 0


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_variable_frame_rate(tmp_path, ending):
    times = np.cumsum(np.random.default_rng(0).integers(5, 100, 40)).tolist()
    path = write_video(tmp_path / f"v.{ending}", options=CLOSED, pts=times)
    assert check(path).variable_rate
    np.testing.assert_array_equal(frame_numbers(decode_frames(path, range(40))), np.arange(40))


def test_repeated_times(tmp_path):
    path = write_video(tmp_path / "v.mkv", fps=2500, options=CLOSED)  # Matroska counts milliseconds
    assert demuxed(path).shown is None
    np.testing.assert_array_equal(frame_numbers(decode_frames(path, range(40))), np.arange(40))


@pytest.mark.parametrize("codec", ["h264", "vp9", "av1", "mpeg4"])
@pytest.mark.parametrize("frames", [1, 2, 3])
def test_very_short(tmp_path, codec, frames):
    assert check(write_video(tmp_path / "v.mp4", frames, codec=codec)).frames == frames


@pytest.mark.parametrize(
    ("codec", "ending", "size", "pix_fmt"),
    [
        ("h264", "mp4", (98, 130), "yuv420p"),
        ("h264", "mp4", (97, 131), "yuv444p"),
        ("h264", "mp4", (96, 128), "yuv420p10le"),
        ("h264", "mkv", (96, 128), "yuv422p"),
        ("hevc", "mp4", (96, 128), "yuv420p10le"),
        ("vp9", "webm", (97, 131), "yuv420p"),
        ("av1", "mp4", (97, 131), "yuv420p"),
        ("av1", "mp4", (96, 128), "yuv420p10le"),
        ("mpeg4", "avi", (97, 131), "yuv420p"),
        ("mjpeg", "avi", (97, 131), "yuvj420p"),
    ],
)
def test_sizes_and_pixel_formats(tmp_path, codec, ending, size, pix_fmt):
    path = write_video(tmp_path / f"v.{ending}", 20, size, codec=codec, pix_fmt=pix_fmt)
    info = check(path, rounds=5)
    assert (info.height, info.width, info.pix_fmt) == (*size, pix_fmt)
    assert frame_numbers(decode_frames(path, [13]))[0] == 13


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotation(tmp_path, rotation):
    path = write_video(tmp_path / "v.mp4", rotation=rotation)
    info = check(path, rounds=3)
    assert info.rotation == rotation
    assert (info.height, info.width) == ((96, 128) if rotation == 180 else (128, 96))
    turned_back = np.rot90(decode_frames(path, [7, 30]), -rotation // 90, axes=(1, 2))
    np.testing.assert_array_equal(frame_numbers(turned_back), [7, 30])
    ffmpeg("-i", path, "-frames:v", 1, "-pix_fmt", "rgb24", "-f", "rawvideo", tmp_path / "raw")
    as_players_show_it = np.fromfile(tmp_path / "raw", np.uint8).reshape(info.height, info.width, 3)
    np.testing.assert_array_equal(decode_frames(path, [0])[0], as_players_show_it)


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize(("pix_fmt", "dtype", "scale"), [("yuv444p", np.uint8, 1), ("yuv444p10le", np.uint16, 4)])
def test_colors_are_bt601_whatever_the_file_says(tmp_path, full_range, pix_fmt, dtype, scale):
    tags = {"x264-params": "colormatrix=bt709:colorprim=bt709:transfer=bt709", "crf": "1"}
    path = write_video(tmp_path / "v.mp4", 1, pix_fmt=pix_fmt, options=tags, full_range=full_range)
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        assert frame.colorspace == 1
        y, cb, cr = (np.frombuffer(plane, dtype).reshape(96, -1)[:, :128] / scale for plane in frame.planes)
    # ITU-R BT.601-7, 2.5
    luma, chroma = (1, 1) if full_range else (255 / 219, 255 / 224)
    y, cb, cr = (y - (0 if full_range else 16)) * luma, (cb - 128) * chroma, (cr - 128) * chroma
    expected = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], axis=-1).clip(0, 255)
    assert np.abs(decode_frames(path, [0])[0] - expected).max() < 2.5


def test_audio_beside_the_frames(tmp_path):
    silent, loud = probe(write_video(tmp_path / "s.mp4")), probe(write_video(tmp_path / "l.mp4", audio=True))
    assert (silent.audio_rate, silent.audio_channels) == (0, 0)
    assert (loud.audio_rate, loud.audio_channels, loud.frames) == (48000, 2, 40)
    check(tmp_path / "l.mp4", rounds=3)


def test_cover_picture_is_not_the_video(tmp_path):
    video, cover = write_video(tmp_path / "video.mp4"), tmp_path / "cover.jpg"
    ffmpeg("-i", video, "-frames:v", 1, cover)
    ffmpeg(
        "-i",
        cover,
        "-i",
        video,
        "-map",
        0,
        "-map",
        1,
        "-c",
        "copy",
        "-disposition:0",
        "attached_pic",
        tmp_path / "v.mp4",
    )
    assert probe(tmp_path / "v.mp4").frames == 40
    np.testing.assert_array_equal(frame_numbers(decode_frames(tmp_path / "v.mp4", [3, 21])), [3, 21])


def test_size_that_changes(tmp_path):
    path, options = tmp_path / "v.avi", {"bf": "0", "x264-params": "repeat-headers=1:annexb=1"}
    parts = [
        write_video(tmp_path / f"{side}.avi", 10, (side, 128), options=options, first_number=side) for side in (96, 64)
    ]
    with av.open(str(path), "w") as target:
        stream, count = None, 0
        for part in parts:
            with av.open(str(part)) as source:
                stream = stream or target.add_stream_from_template(source.streams.video[0])
                for packet in source.demux(video=0):
                    if packet.size:
                        packet.stream, packet.pts, packet.dts, count = stream, count, count, count + 1
                        target.mux(packet)
    assert probe(path).frames == 20
    assert decode_frames(path, [3, 4]).shape == (2, 96, 128, 3)
    np.testing.assert_array_equal(frame_numbers(decode_frames(path, [12, 19])), [66, 73])
    with pytest.raises(VideoError, match="make a training copy") as error:
        decode_frames(path, [3, 12])
    assert error.value.status == "changes_size"
