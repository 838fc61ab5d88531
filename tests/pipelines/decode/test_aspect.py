"""Pixels that are not square: crops are squares as players show the video; with square pixels nothing changes."""

import numpy as np
import pytest

from pipelines.dataset.clips import Clip
from pipelines.decode import decode_frames
from pipelines.decode.frames import probe
from pipelines.decode.stream import read_stream
from pipelines.sampling.plan import Crop, displayed_size, undisplayed
from pipelines.transcode.copy_options import CopyOptions
from pipelines.transcode.training_copy import write_copy
from tests.helpers.loading import batches, settings
from tests.helpers.media import ffmpeg, write_video
from tsam_dali.inference.file_clips import file_clip
from tsam_dali.inference.live import prepare

SQUARE_SIZE = (96, 256)


def clip_of(path) -> Clip:
    info = probe(path)
    return Clip("clip", 0, str(path), info.frames, info.height, info.width, "", info.pixel_aspect)


@pytest.fixture(scope="module")
def square(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("square") / "v.mp4", 20, SQUARE_SIZE, options={"crf": "10"})


@pytest.fixture(scope="module")
def narrow(square):
    """The same, every two columns put into one pixel."""
    path = square.with_name("narrow.mp4")
    ffmpeg("-i", square, "-vf", "scale=128:96,setsar=2", "-crf", 10, path)
    return path


@pytest.mark.parametrize("name", ["v.mp4", "v.mov", "v.mkv", "v.avi", "v.ts"])
def test_what_containers_and_streams_say(tmp_path, narrow, name):
    ffmpeg("-i", narrow, "-c", "copy", tmp_path / name)
    info = probe(tmp_path / name)
    assert (info.pixel_aspect, info.height, info.width) == (2.0, 96, 128)
    assert decode_frames(tmp_path / name, [0]).shape == (1, 96, 128, 3)


def test_turned_and_absurd_and_of_the_stream_against_the_container(tmp_path, narrow):
    ffmpeg("-display_rotation", 90, "-i", narrow, "-c", "copy", tmp_path / "turned.mp4")
    assert probe(tmp_path / "turned.mp4").pixel_aspect == 0.5
    for aspect, expected in (
        ("32:3", 1),
        ("1:9", 1),
        ("4:3", 1),
        ("2:3", 0.5),
        ("16:9", 4 / 3),
    ):  # of the whole picture
        ffmpeg("-i", narrow, "-c", "copy", "-aspect", aspect, tmp_path / "v.mkv")
        assert probe(tmp_path / "v.mkv").pixel_aspect == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("split", ["training", "validation"])
def test_crops_are_squares_as_shown(square, narrow, split):
    wide, slim = clip_of(square), clip_of(narrow)
    assert (wide.pixel_aspect, slim.pixel_aspect) == (1, 2)
    config = settings(batch_size=1, look={"scales": [1, 0.75]})
    pairs = zip(*(batches(config, split, [clip], 2) for clip in (wide, slim)), strict=True)
    assert max((expected.video - found.video).abs().mean() for expected, found in pairs) < 0.03  # else over 0.07
    assert file_clip("v", vars(probe(narrow))).pixel_aspect == 2


def test_streams(square, narrow):
    streams = [read_stream(str(path), 5, 1.0) for path in (square, narrow)]
    for expected, found in zip(*streams, strict=True):
        assert found.image.shape == (96, 48, 3)
        assert (prepare(expected.image, 48) - prepare(found.image, 48)).abs().mean() < 0.03


@pytest.mark.parametrize("turned", [False, True])
def test_copies_have_square_pixels(tmp_path, square, narrow, turned):
    source = narrow
    if turned:
        source = tmp_path / "turned.mp4"
        ffmpeg("-display_rotation", 90, "-i", narrow, "-c", "copy", source)
    write_copy(source, tmp_path / "copy.mp4", CopyOptions(short_side=96, fps=0, crf=10))
    copy = decode_frames(tmp_path / "copy.mp4", range(20))
    upright = np.rot90(copy, -1, axes=(1, 2)) if turned else copy
    assert upright.shape == (20, *SQUARE_SIZE, 3)
    assert np.abs(upright.astype(int) - decode_frames(square, range(20))).mean() < 8
    assert probe(tmp_path / "copy.mp4").pixel_aspect == 1


def test_arithmetic():
    assert displayed_size(96, 128, 1.0) == (96, 128)
    assert displayed_size(96, 128, 2.0) == (96, 256)
    assert displayed_size(96, 128, 0.5) == (192, 128)
    assert displayed_size(576, 720, 16 / 15) == (576, 768)
    assert undisplayed(Crop(0, 80, 96, 96), (96, 256), (96, 128)) == Crop(0, 40, 96, 48)
    rng = np.random.default_rng(0)
    for _ in range(500):
        size = tuple(rng.integers(1, 400, 2).tolist())
        displayed = displayed_size(*size, float(rng.uniform(0.25, 4)))
        height, width = (int(rng.integers(1, side + 1)) for side in displayed)
        y, x = int(rng.integers(0, displayed[0] - height + 1)), int(rng.integers(0, displayed[1] - width + 1))
        crop = undisplayed(Crop(y, x, height, width), displayed, size)
        assert 0 <= crop.y <= crop.y + crop.height <= size[0]
        assert 0 <= crop.x <= crop.x + crop.width <= size[1]
        assert min(crop.height, crop.width) >= 1
        assert undisplayed(crop, size, size) == crop
