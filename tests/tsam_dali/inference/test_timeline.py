"""Timelines: windows see their own frames and use their own audio; a short video is one prediction; files."""

import csv
import json
import shutil
import sys

import av
import numpy as np
import pytest
from PIL import Image

import tsam_dali
from pipelines.dali.source import Reading
from pipelines.decode import reader
from pipelines.parallel.sandbox import Sandbox
from tests.helpers.checkpoints import checkpoint
from tests.helpers.media import ffmpeg, frame_numbers, write_video
from tests.helpers.networks import one_thread  # noqa: F401 (a fixture)
from tsam_dali.inference import predictor as prediction
from tsam_dali.predict import main


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return checkpoint(tmp_path_factory.mktemp("run") / "latest", "pipeline.workers=0")


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """27 seconds, square, numbered frames, with audio."""
    return write_video(tmp_path_factory.mktemp("videos") / "long.mp4", 270, size=(96, 96), fps=10, audio=True)


def test_windows_see_their_own_frames_and_hear_their_own_audio(file, long):
    predictor = tsam_dali.load(file)
    fed = []
    predictor.network.register_forward_pre_hook(lambda _module, inputs: fed.append(inputs))
    timeline = predictor.timeline(long, window=10, stride=5, topk=2)
    assert [(one.start, one.end) for one in timeline.windows] == [(0, 10), (5, 15), (10, 20), (15, 25), (17, 27)]
    assert [len(one.classes) for one in timeline.windows] == [2] * 5
    assert timeline.windows[0].classes[0].name in predictor.class_names
    assert (timeline.duration, timeline.has_audio) == (27, True)
    ((video, audio),) = fed
    for row, first in enumerate([0, 50, 100, 150, 170]):
        pixels = (255 * video[row].permute(0, 2, 3, 1).numpy()).astype(np.uint8)
        assert frame_numbers(pixels).tolist() == [first + 16, first + 50, first + 83]
    assert audio.std(dim=(1, 2, 3, 4)).min() > 0  # a tone, not silence
    assert not np.array_equal(audio[0], audio[2])  # it begins in the first window


def test_a_short_video_is_the_prediction_of_the_whole(file, example):
    predictor = tsam_dali.load(file)
    path = sorted((example / "videos").glob("*.mp4"))[0]
    timeline = predictor.timeline(path, window=60, stride=30)
    (window,) = timeline.windows
    whole = {one.label: one.probability for one in predictor.predict(path).classes}
    assert {one.label: one.probability for one in window.classes} == pytest.approx(whole, abs=1e-5)
    assert window.end == timeline.duration


def test_windows_that_cannot_be_read_are_gaps(file, long, tmp_path):
    """Damage in the pictures of the last seconds, which no look at the packets finds."""
    data, path = bytearray(long.read_bytes()), tmp_path / "damaged.mp4"
    with av.open(str(long)) as container:
        for packet in container.demux(video=0):
            if packet.size and packet.pts * packet.time_base > 18:
                start, end = packet.pos + 40, packet.pos + packet.size
                data[start:end] = bytes(255 - value for value in data[start:end])
    path.write_bytes(data)
    windows = tsam_dali.load(file).timeline(path, window=4, stride=4).windows
    assert windows[0].classes
    assert not windows[-1].classes
    assert "damaged" in windows[-1].error


def predict(monkeypatch, *arguments: object) -> None:
    """The command, in this process."""
    monkeypatch.setattr("sys.argv", ["predict", *map(str, arguments)])
    main()


def test_the_command_writes_lines_tables_and_pictures(file, long, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "videos"
    folder.mkdir()
    shutil.copy(long, folder / "a.mp4")
    (folder / "b.mp4").write_text("no video")
    common = ("--checkpoint", file, "--window", 10, "--topk", 1, "--device", "cpu", folder)
    predict(monkeypatch, *common, "--pictures", tmp_path / "plots")
    out, told = capsys.readouterr()
    first, second = map(json.loads, out.splitlines())
    assert [window["start"] for window in first["windows"]] == [0, 5, 10, 15, 17]  # half a window is the default stride
    assert first["windows"][0]["classes"][0].keys() == {"label", "name", "probability"}
    assert "not mp4" in second["error"]
    assert "1 of 2 videos read" in told
    assert Image.open(tmp_path / "plots/0001_a.png").width == 1440
    predict(monkeypatch, *common, "--stride", 10, "--output", tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [(row["start"], row["end"], row["rank"]) for row in rows] == [
        ("0.0", "10.0", "1"),
        ("10.0", "20.0", "1"),
        ("17.0", "27.0", "1"),
        ("", "", ""),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a.mp4", "--stride", 5), "--stride needs --window SECONDS"),
        (("a.mp4", "--window", 0), "expected a number above 0, got 0"),
        (("a.mp4", "--live", "b.mp4"), "expected videos"),
        (("a.mp4", "--fps", 5), "--fps needs --live"),
        (("--live", "a.mp4", "--pictures", "x"), "lines only"),
        (("a.mp4", "--window", 5, "--explain", "x"), "whole files"),
        ((), "expected videos"),
    ],
)
def test_options_that_do_not_go_together(monkeypatch, capsys, arguments, message):
    with pytest.raises(SystemExit):
        predict(monkeypatch, "--checkpoint", "none", *arguments)
    assert message in capsys.readouterr().err


def test_a_window_of_no_length_is_an_error(file):
    with pytest.raises(ValueError, match="expected seconds above 0"):
        tsam_dali.load(file).timeline("a.mp4", window=-1, stride=1)


def test_a_terminal_shows_how_many_windows_are_left(file, long, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    tsam_dali.load(file).timeline(long, window=10, stride=10)
    shown = capsys.readouterr().err.split("\r")
    assert any(line.startswith("long.mp4: ") and "0/3 " in line for line in shown)
    assert not shown[-1].strip()  # nothing of it stays


class ReadingHere(Sandbox):
    """Clips are read in this process."""

    def run(self, task, item):
        return task.function(item) if isinstance(task.function, Reading) else super().run(task, item)


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_a_file_is_read_once_for_all_of_its_windows(file, long, tmp_path, monkeypatch, ending):
    path = tmp_path / f"b.{ending}"
    ffmpeg("-i", long, "-c", "copy", path)
    monkeypatch.setattr(prediction, "Sandbox", ReadingHere)
    read = []
    for module, name in ((reader, "demux"), (reader, "demux_plain")):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *given, real=real: read.append(real.__name__) or real(*given))
    timeline = tsam_dali.load(file).timeline(path, window=3, stride=3)
    assert len(timeline.windows) == 9
    assert all(one.classes for one in timeline.windows)
    assert read == (["demux_plain"] if ending == "mp4" else ["demux_plain", "demux"])
