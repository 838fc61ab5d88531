"""The example data set: complete, reproducible, and neither a frame nor the picture alone betrays the class."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from fractions import Fraction

import av
import numpy as np
import pytest

from tests.helpers.processes import ROOT, run
from tools import make_example as maker
from tools.synthetic import squares

ARGUMENTS = {"training": 8, "validation": 5, "workers": 1}
SMALL = {"training": 4, "validation": 1, "workers": 1}


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def square_centres(frames):
    """Horizontal centre of the square in each frame, in picture widths."""
    bright = (frames.min(-1) > 160).sum(1)  # (N, W)
    return (bright * np.arange(bright.shape[1])).sum(1) / bright.sum(1) / bright.shape[1]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "deep" / "example"
    assert maker.make_example(folder, **ARGUMENTS)
    return folder


def test_layout_is_that_of_tsam(made):
    settings = json.loads((made / "data.json").read_text())["dataset"]
    assert settings["data_dir"] == str(made)
    assert settings["class_names"] == ["left low", "left high", "right low", "right high"]
    for split, key in (("training", "file_train_list"), ("validation", "file_val_list")):
        lines = [line.split() for line in (made / settings[key]).read_text().splitlines()]
        assert [int(label) for _, label in lines] == [i % 4 for i in range(ARGUMENTS[split])]
        assert all((made / settings["dir_videos"] / f"{clip}.mp4").is_file() for clip, _ in lines)
    assert len(list((made / "videos").iterdir())) == 13
    assert made.stat().st_mode & 0o777 == (made / "videos").stat().st_mode & 0o777  # not closed to others
    assert list(made.parent.iterdir()) == [made]  # the temporary folder is gone


def test_same_seed_same_bytes_however_many_clips_and_workers(made, tmp_path):
    maker.make_example(tmp_path / "again", training=12, validation=5, workers=2)
    maker.make_example(tmp_path / "other", **SMALL, seed=1)
    first, again, other = (files(folder / "videos") for folder in (made, tmp_path / "again", tmp_path / "other"))
    assert {name: again[name] for name in first} == first
    assert len(other) == 5
    assert all(first[name] != other[name] for name in other)


def test_clips_are_h264_and_aac_and_move_and_are_heard_as_their_label_says(made):
    for line in (made / "training.txt").read_text().splitlines():
        clip, label = line.split()
        moves_right, high_tone = divmod(int(label), 2)
        with av.open(str(made / "videos" / f"{clip}.mp4")) as container:
            video, audio = container.streams.video[0], container.streams.audio[0]
            assert (video.codec.name, video.pix_fmt, audio.codec.name) == ("h264", "yuv420p", "aac")
            assert video.height % 2 == video.width % 2 == 0
            assert video.average_rate in squares.FRAME_RATES
            assert audio.rate in squares.SAMPLE_RATES
            frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video)])
            rate = video.average_rate
        with av.open(str(made / "videos" / f"{clip}.mp4")) as container:
            samples = np.concatenate([frame.to_ndarray().mean(0) for frame in container.decode(audio=0)])
        assert 1.4 < len(frames) / rate < 2.6
        assert len(samples) / audio.rate == pytest.approx(float(len(frames) / rate), abs=0.2)  # AAC pads
        moved = np.diff(square_centres(frames))
        assert (moved > 0).mean() == moves_right  # every single step goes the way of the label
        loudest = np.abs(np.fft.rfft(samples)).argmax() * audio.rate / len(samples)
        assert loudest == pytest.approx(squares.TONES[high_tone], rel=0.2)


def test_sizes_rates_and_channels_differ():
    draws = [np.random.default_rng(i) for i in range(40)]
    pictures = [squares.draw_frames(rng, moves_right=False) for rng in draws]
    audios = [squares.draw_audio(rng, 1, Fraction(2)) for rng in draws]
    assert {frames.shape[1:3] for frames, _ in pictures} == set(squares.SIZES)
    assert {rate for _, rate in pictures} == set(squares.FRAME_RATES)
    assert {len(samples) for samples, _ in audios} == {1, 2}
    assert {rate for _, rate in audios} == set(squares.SAMPLE_RATES)


def test_only_the_order_of_the_frames_betrays_the_direction():
    for i in range(8):
        left, right = (squares.draw_frames(np.random.default_rng(i), moves_right)[0] for moves_right in (False, True))
        difference = left.astype(int) - right[::-1]
        assert np.abs(difference).max() < 45  # the grain, drawn anew for each frame: at most 4 levels, seven deviations
        assert np.abs(square_centres(left)[0] - square_centres(left)[-1]) > 0.3


def test_the_picture_does_not_depend_on_the_tone(tmp_path):
    maker.make_clip(tmp_path, seed=0, split="training", i=1)  # left, high
    with av.open(str(tmp_path / "training_0001.mp4")) as container:
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    drawn, _ = squares.draw_frames(np.random.default_rng([0, 0, 1]), moves_right=0)  # knows nothing of the tone
    assert frames.shape == drawn.shape
    assert np.abs(frames.astype(int) - drawn).mean() < 8


def test_a_second_run_with_the_same_arguments_changes_nothing(made):
    before = {path: path.stat().st_mtime_ns for path in made.rglob("*")}
    assert maker.make_example(made, **ARGUMENTS) is False
    assert {path: path.stat().st_mtime_ns for path in made.rglob("*")} == before


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    assert maker.make_example(folder, **SMALL)
    return folder


def test_an_empty_folder_is_filled(small):
    assert (small / "videos" / "validation_0000.mp4").is_file()


def be_a_file(out):
    shutil.rmtree(out)
    out.write_text("x")


def hold_something_else(out):
    shutil.rmtree(out)
    (out / "sub").mkdir(parents=True)


def hold_another_example(out):
    made_with = json.loads((out / "made_with.json").read_text())
    (out / "made_with.json").write_text(json.dumps(made_with | {"training": 5}))


def lack_a_clip(out):
    (out / "videos" / "training_0002.mp4").unlink()


def lack_the_stamp(out):
    (out / "made_with.json").write_text("{")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (be_a_file, "is not a folder"),
        (hold_something_else, "holds something that is not the example"),
        (hold_another_example, "made with .*'training': 5.*expected"),
        (lack_a_clip, "without 1 of its files, first videos/training_0002.mp4"),
        (lack_the_stamp, "holds something that is not the example"),
    ],
)
def test_a_folder_in_use_is_an_error_and_stays_as_it_is(small, tmp_path, spoil, message):
    out = tmp_path / "out"
    shutil.copytree(small, out)
    spoil(out)
    before = files(tmp_path)
    with pytest.raises(maker.ExampleError, match=message):
        maker.make_example(out, **SMALL)
    assert files(tmp_path) == before


@pytest.mark.parametrize("wrong", [{"training": 3}, {"validation": 0}, {"seed": -1}, {"workers": 0}])
def test_too_small_numbers_are_refused(tmp_path, wrong):
    with pytest.raises(maker.ExampleError, match="expected at least"):
        maker.make_example(tmp_path / "out", **wrong)
    assert list(tmp_path.iterdir()) == []


def test_command_reports_a_bad_path_in_one_line(tmp_path):
    (tmp_path / "file").write_text("x")
    done = run("tools/make_example.py", tmp_path / "file" / "out")
    assert done.returncode == 1
    assert done.stderr.startswith("make_example: cannot make a folder in ")
    assert done.stderr.count("\n") == 1


def test_command_makes_it_and_says_when_there_is_nothing_to_do(tmp_path):
    command = ["tools/make_example.py", tmp_path / "out", "--training", "4", "--validation", "1", "--workers", "1"]
    done = run(*command)
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "out" / "data.json") in done.stdout
    assert "nothing to do" in run(*command).stdout


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_interrupted_run_leaves_nothing(tmp_path, workers):
    command = [sys.executable, "tools/make_example.py", tmp_path / "out", "--training", "4000", "--workers", workers]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while not list(tmp_path.rglob("training_0001.mp4")) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert os.listdir(tmp_path), "it did not start"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) != 0
    assert os.listdir(tmp_path) == []


def test_an_example_that_was_made_elsewhere_is_not_made_anew(own_folder):
    settings = json.loads((ROOT / "config/example_data.json").read_text())
    settings["dataset"]["data_dir"] = "moved/away"
    (own_folder / "data.json").write_text(json.dumps(settings))
    done = run(ROOT / "tools/index_videos.py", "--data", own_folder / "data.json", cwd=own_folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert "moved/away" in done.stderr
    assert not (own_folder / "moved").exists()
