"""Clips to measure with: they hold what they promise, and are made once."""

import av
import numpy as np
import pytest

from pipelines.audio.read import read_audio
from pipelines.decode import decode_frames
from pipelines.decode.frames import probe
from tests.helpers.processes import run
from tools.synthetic.realistic import SIZES, draw_audio, make_clips, texture


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return make_clips(tmp_path_factory.mktemp("clips"), 2, seconds=0.6, workers=1)


def test_clips_are_what_they_promise(clips):
    for path, size in zip(clips, SIZES, strict=False):
        info = probe(path)
        assert (info.height, info.width) == size
        assert 25 <= info.fps <= 30
        assert info.frames == round(0.6 * info.fps)
        assert (info.codec, info.pix_fmt, info.variable_rate) == ("h264", "yuv420p", False)
        audio, rate = read_audio(path)
        assert (len(audio), rate) == (2, 44100)
        assert audio.shape[1] / rate == pytest.approx(info.frames / info.fps, abs=0.03)
        assert 0.02 < np.abs(audio).mean() < 0.5
        assert b"keyint=250" in path.read_bytes()
        assert b"bframes=3" in path.read_bytes()


def test_pictures_move_and_differ(clips):
    for path in clips:
        frames = decode_frames(path, [0, 1, 14]).astype(float)
        assert np.abs(frames[1] - frames[0]).mean() > 0.5
        assert np.abs(frames[2] - frames[0]).mean() > 5
        assert frames.std(axis=(1, 2, 3)).min() > 15


def test_the_same_number_and_seed_show_the_same(clips, tmp_path):
    (again,) = make_clips(tmp_path, 1, seconds=0.6, workers=1)
    (other,) = make_clips(tmp_path / "other", 1, seconds=0.6, seed=1, workers=1)
    first = decode_frames(clips[0], [0, 9])
    assert np.array_equal(decode_frames(again, [0, 9]), first)
    assert not np.array_equal(decode_frames(other, [0, 9]), first)


def test_what_is_there_is_left_alone(clips):
    before = [path.stat().st_mtime_ns for path in clips]
    assert make_clips(clips[0].parent, 2, seconds=0.6) == clips
    assert [path.stat().st_mtime_ns for path in clips] == before
    assert sorted(clips[0].parent.iterdir()) == clips  # no temporary file


def test_amplitudes_fall_with_frequency():
    light = texture(np.random.default_rng(0), (256, 256)).mean(axis=-1)
    power = np.abs(np.fft.fft2(light)[0, 4:64]) + np.abs(np.fft.fft2(light)[4:64, 0])
    slope = np.polyfit(np.log(np.arange(4, 64)), np.log(power), 1)[0]
    assert -1.8 < slope < -0.8


def test_the_audio_is_that_of_a_voice():
    """Its energy lies where speech has it, and it comes and goes several times a second."""
    audio = draw_audio(np.random.default_rng(0), 4.0)[0].astype(float)
    power, frequency = np.abs(np.fft.rfft(audio)) ** 2, np.fft.rfftfreq(audio.size, 1 / 44100)
    assert power[(frequency > 80) & (frequency < 4000)].sum() > 0.8 * power.sum()
    loudness = np.sqrt((audio.reshape(-1, 2205) ** 2).mean(axis=1))  # of 50 ms each
    assert loudness.max() > 5 * loudness.min()
    swings = np.abs(np.fft.rfft(loudness - loudness.mean()))
    assert 2 < np.fft.rfftfreq(loudness.size, 0.05)[swings.argmax()] < 6  # syllables a second


def test_command(tmp_path):
    """A data set of them, like the example."""
    out = tmp_path / "realistic"
    counts = ["--training", "4", "--validation", "1", "--workers", "1"]
    done = run("tools/make_example.py", out, "--realistic", "--seconds", "0.2", *counts)
    assert done.returncode == 0, done.stderr
    with av.open(str(out / "videos" / "training_0001.mp4")) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"]
        assert container.streams.video[0].height == SIZES[1][0]
    assert (out / "training.txt").read_text().count("\n") == 4
    assert run("tools/make_example.py", out, *counts).returncode == 1  # another kind lies there
    assert run("tools/make_example.py", tmp_path / "b", "--seconds", "1").returncode == 2
