"""Streams: which frames and which audio are fed, and that their predictions are those of the whole clip."""

import csv
import json
import os
import subprocess
import sys
import threading
from itertools import pairwise

import numpy as np
import pytest
import torch

import tsam_dali
from pipelines.audio.read import read_audio
from pipelines.decode import decode_frames
from pipelines.decode.container import VideoError
from pipelines.decode.stream import read_stream
from pipelines.sampling import validation_frames
from tests.helpers.audio_media import noise, write_clip
from tests.helpers.checkpoints import checkpoint
from tests.helpers.media import ffmpeg, frame_numbers, write_video
from tests.helpers.networks import one_thread  # noqa: F401 (a fixture)
from tests.helpers.processes import ROOT
from tsam_dali.inference.live import follow, prepare
from tsam_dali.model.backbone import ModelError
from tsam_dali.predict import main

CAUSAL = ("shift_temporal.causal=true", "pipeline.workers=0")


@pytest.fixture(scope="module")
def without_audio(tmp_path_factory):
    """A causal network without audio."""
    return checkpoint(tmp_path_factory.mktemp("run") / "latest", *CAUSAL, "model.audio_segments=0")


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("videos") / "a.mkv", 40, size=(96, 96), fps=10)


def fed(source, fps):
    frames = list(read_stream(str(source), fps, 1.0))
    return [frame.time for frame in frames], frame_numbers(np.stack([frame.image for frame in frames])).tolist()


@pytest.mark.parametrize("segments", [3, 8, 16])
def test_the_frames_are_those_of_a_validation(video, segments):
    times, numbers = fed(video, segments / 4)
    assert numbers == validation_frames(40, segments).tolist()
    assert np.allclose(times, np.array(numbers) / 10)


def test_a_source_with_fewer_frames_gives_all_and_a_jump_costs_none(video, tmp_path):
    assert fed(video, 25)[1] == list(range(40))
    jump = write_video(tmp_path / "jump.mkv", 6, size=(96, 96), pts=[0, 100, 200, 5000, 5100, 5200], fps=10)
    assert fed(jump, 5)[1] == [1, 3, 4]


def test_a_stream_predicts_what_the_whole_clip_gives(without_audio, video):
    predictor = tsam_dali.load(without_audio)
    moments = list(predictor.live(video, fps=3 / 4))
    assert [moment.frame for moment in moments] == [1, 2, 3]
    clip = torch.stack([prepare(frame, 32) for frame in decode_frames(video, validation_frames(40, 3))])
    with torch.no_grad():
        expected = predictor.network(clip[None]).softmax(1)[0]
    for one in moments[-1].classes:
        assert one.probability == pytest.approx(expected[one.label].item(), abs=1e-5)
        assert one.name == predictor.class_names[one.label]
    whole = {one.label: one.probability for one in predictor.predict(video).classes}
    assert all(one.probability == pytest.approx(whole[one.label], abs=1e-5) for one in moments[-1].classes)


def test_the_audio_of_the_past_is_heard(tmp_path):
    path = write_clip(tmp_path / "a.mkv", noise(1.2, 8000), 8000, frames=12)
    whole, frames = read_audio(path)[0][0], list(read_stream(str(path), 5, 0.4))
    latest = [frame.audio[0] for frame in frames]
    assert {frame.rate for frame in frames[1:]} == {8000}
    assert max(len(audio) for audio in latest) == 0.4 * 8000
    eight = np.lib.stride_tricks.sliding_window_view(whole, 8)
    ends = [np.flatnonzero((eight == audio[-8:]).all(1))[0] + 8 for audio in latest[1:]]
    assert all(a < b for a, b in pairwise(ends))
    for end, audio in zip(ends, latest[1:], strict=True):
        assert np.array_equal(audio, whole[max(0, end - len(audio)) : end])


def test_audio_that_changes_keeps_the_rate_and_channels_it_begins_with(tmp_path):
    video = write_video(tmp_path / "a.mp4", 25, audio=True)
    for number, (rate, channels) in enumerate([(32000, 2), (24000, 1)]):
        ffmpeg("-i", video, "-c:v", "copy", "-c:a", "mp2", "-ar", rate, "-ac", channels, tmp_path / f"{number}.ts")
    (tmp_path / "both.ts").write_bytes(b"".join((tmp_path / f"{number}.ts").read_bytes() for number in range(2)))
    frames = list(read_stream(str(tmp_path / "both.ts"), 5, 0.5))
    assert {frame.rate for frame in frames[1:]} == {32000}
    assert {frame.audio.shape[0] for frame in frames[1:]} == {2}
    assert frames[-1].audio.shape[1] == 16000
    assert 0.001 < np.abs(frames[-1].audio).max() < 2


@pytest.mark.parametrize(("fps", "frames"), [(2, 2), (5, 6)])
def test_the_audio_is_heard_anew_twice_a_second(tmp_path, fps, frames):
    path = write_clip(tmp_path / "a.mkv", noise(1.2, 8000), 8000, frames=12)
    listening = tsam_dali.load(checkpoint(tmp_path / "latest", *CAUSAL))
    pictures = []
    listening.network.backbone.register_forward_pre_hook(lambda _module, inputs: pictures.append(inputs[0]))
    network, config = listening.network, listening.config
    assert len(list(follow(network, config, torch.device("cpu"), str(path), fps))) == frames
    assert len(pictures) == 1 + frames + 2  # silence before; audio with the first frame, and half a second later
    last_heard = len(pictures) - 2 if fps == 2 else 5
    assert [len(each.unique()) > 100 for each in pictures] == [i == last_heard for i in range(len(pictures))]


def test_a_fifo_is_read_as_it_is_written(video, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    writer = threading.Thread(target=lambda: fifo.write_bytes(video.read_bytes()))
    writer.start()
    assert fed(fifo, 2)[1] == validation_frames(40, 8).tolist()
    writer.join()


def test_sources_that_cannot_be_read(tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    for source, message in (
        (tmp_path / "none.mp4", "no such file"),
        (tmp_path / "text.mp4", "not mp4"),
        ("/dev/null", "expected a camera"),
    ):
        with pytest.raises(VideoError, match=message):
            next(read_stream(str(source), 1, 1))


def test_the_command_reads_a_pipe(without_audio, video):
    command = [sys.executable, "-m", "tsam_dali.predict", "--checkpoint", without_audio, "--live", "-", "--fps", "1"]
    with video.open("rb") as pipe:
        done = subprocess.run(command, stdin=pipe, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["time"], line["frame"]) for line in lines] == [(0.5, 1), (1.5, 2), (2.5, 3), (3.5, 4)]
    assert len(lines[0]["classes"]) == 4


def test_the_command_writes_tables_and_names_what_is_wrong(without_audio, video, tmp_path, monkeypatch, capsys):
    def command(checkpoint_file, source):
        options = ("--topk", "1", "--fps", "0.5", "--output", str(tmp_path / "live.csv"), "--device", "cpu")
        arguments = ["predict", "--checkpoint", str(checkpoint_file), "--live", str(source), *options]
        monkeypatch.setattr("sys.argv", arguments)
        main()

    command(without_audio, video)
    with (tmp_path / "live.csv").open(newline="") as lines:
        assert [(row["time"], row["frame"], row["rank"]) for row in csv.DictReader(lines)] == [
            ("1.0", "1", "1"),
            ("3.0", "2", "1"),
        ]
    with pytest.raises(SystemExit, match="2"):
        command(without_audio, tmp_path / "none.mp4")
    assert "none.mp4: no such file" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        command(checkpoint(tmp_path / "latest"), video)
    assert "causal: got false, expected true" in capsys.readouterr().err


def test_a_network_that_needs_later_frames_is_an_error_before_the_source_is_opened(tmp_path):
    with pytest.raises(ModelError, match="causal"):
        next(tsam_dali.load(checkpoint(tmp_path / "latest")).live("none.mp4"))


@pytest.mark.parametrize("ending", ["mkv", "ts"])
def test_audio_that_begins_late_and_has_a_gap_is_heard_at_its_times(tmp_path, ending):
    """A tone from 2 s to 3 s and from 5 s to 6 s, in a file and through a pipe."""
    path = tmp_path / f"a.{ending}"
    picture, sine = "testsrc=s=64x48:r=10:d=8", "sine=440:r=16000:d=4"
    cut = "aselect='not(between(t,3,5))'"
    late = ("-itsoffset", 2, "-f", "lavfi", "-i", sine, "-af", cut, "-c:v", "mpeg4", "-c:a", "mp2")
    ffmpeg("-f", "lavfi", "-i", picture, *late, "-output_ts_offset", 1000, path)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    threading.Thread(target=lambda: fifo.write_bytes(path.read_bytes()), daemon=True).start()
    for source in (fifo, path):
        frames = {round(frame.time + 0.5): frame.audio[0] for frame in read_stream(str(source), 1, 3.0)}
        heard = [frames[second].reshape(12, 4000) for second in (5, 6, 8)]  # each of the 3 s before 4.5, 5.5, 7.5 s
        tone = ["".join("#" if np.abs(part).max() > 0.01 else "." for part in parts[1::2]) for parts in heard]
        assert tone == [".##...", "#....#", ".##..."]
