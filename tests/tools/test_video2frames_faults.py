"""tools/video2frames.py where a disk is full, a file is cut short or holds several tracks, or a setting is wrong."""

import json
import os

import numpy as np
import pytest
import soundfile
from PIL import Image

from pipelines.audio.read import read_audio
from pipelines.decode import decode_frames
from pipelines.decode.frames import probe
from pipelines.files.atomic import temporary_path
from tests.helpers.audio_media import damage_audio_packet, noise, tone, write_clip
from tests.helpers.media import ffmpeg, frame_numbers, write_video
from tests.helpers.processes import called
from tools.video2frames import main


@pytest.fixture
def data(tmp_path):
    """A data set without videos; data.json beside it."""
    (tmp_path / "data/videos").mkdir(parents=True)
    (tmp_path / "data.json").write_text(json.dumps({"dataset": {"data_dir": str(tmp_path / "data")}}))
    return tmp_path / "data"


def extract(data, *more):
    return called(main, "--data", data.parent / "data.json", "--workers", "2", *more)


def test_audio_for_which_the_disk_has_no_room(data):
    write_clip(data / "videos/a.mp4", tone(440, 0.1, 16000), 16000)
    (data / "audios").mkdir()
    with temporary_path(data / "audios/a.wav") as temporary:
        start, _, number = temporary.stem.rpartition("-")
        following = temporary.with_name(f"{start}-{int(number) + 1}.wav")
        following.symlink_to("/dev/full")  # to which the audio is then written
        done = extract(data, "--audio")
    assert done.returncode == 2
    assert "No space left on device" in done.stderr.splitlines()[-1]
    assert not list((data / "audios").iterdir())


def test_audio_of_which_a_packet_is_damaged_is_extracted(data):
    clip = write_clip(data / "videos/a.mp4", noise(1.0, 16000), 16000)
    damage_audio_packet(clip, 5)
    assert "1 extracted" in extract(data, "--audio").stdout
    assert soundfile.info(data / "audios/a.wav").frames > 12000


@pytest.mark.parametrize("what", [["--audio"], []])
def test_videos_that_are_cut_short_or_none_are_named(data, what):
    clip = write_clip(data / "videos/short.mkv", noise(1.0, 48000), 48000)
    os.truncate(clip, clip.stat().st_size * 3 // 4)
    (data / "videos/empty.mp4").touch()
    (data / "videos/page.mp4").write_text("<html>")
    os.mkfifo(data / "videos/pipe.mp4")  # it would wait for a writer
    done = extract(data, *what)
    assert done.returncode == 1
    for line, words in zip(
        done.stderr.splitlines()[-4:],
        ("empty.mp4: holds no bytes", "page.mp4: begins with", "pipe.mp4: is a folder, FIFO", "short.mkv: cut short"),
        strict=True,
    ):
        assert words in line
    assert not (data / "audios").exists()
    assert not (data / "frames").exists()


def test_one_of_several_tracks_is_chosen_as_everywhere(data, tmp_path):
    """ffmpeg would choose the largest pictures and the most channels."""
    small = write_video(tmp_path / "small.mp4", frames=10, fps=10)
    large = write_video(tmp_path / "large.mp4", frames=10, fps=10, size=(192, 256), first_number=1000)
    for name, audio in (("one", tone(440, 1, 48000)), ("two", tone(880, 1, 22050, 2))):
        soundfile.write(tmp_path / f"{name}.wav", audio.T, 48000 if name == "one" else 22050)
    inputs = [word for name in ("one.wav", "two.wav") for word in ("-i", tmp_path / name)]
    maps = ["-map", "0", "-map", "1", "-map", "2", "-map", "3", "-c:v", "copy", "-disposition:a:0", "default"]
    clip = data / "videos/a.mkv"
    ffmpeg("-i", small, "-i", large, *inputs, *maps, "-disposition:a:1", "0", clip)
    assert extract(data, "--fps", "0").returncode == extract(data, "--audio").returncode == 0
    with Image.open(data / "frames/a/00003.jpg") as picture:
        shown = frame_numbers(np.asarray(picture)[None]).tolist()
    assert shown == frame_numbers(decode_frames(clip, [2])).tolist() == [2]
    extracted, own, known = soundfile.info(data / "audios/a.wav"), read_audio(clip), probe(clip)
    assert (extracted.samplerate, extracted.channels) == (own[1], len(own[0]))
    assert (extracted.samplerate, extracted.channels) == (known.audio_rate, known.audio_channels)


def test_names_of_frames_without_a_number(data):
    write_video(data / "videos/a.mp4", frames=10)
    settings = {"dataset": {"data_dir": str(data), "frames_tmpl": "%05d.jpg"}}
    (data.parent / "data.json").write_text(json.dumps(settings))
    done = extract(data)
    assert done.returncode == 2
    assert "dataset.frames_tmpl: expected a name with one number, as {:05d}.jpg, got '%05d.jpg'" in done.stderr
    assert not (data / "frames").exists()


def test_an_ending_in_capitals_is_named(data):
    write_video(data / "videos/UP.MP4", frames=10)
    done = extract(data)
    assert done.returncode == 2
    assert "file endings in capitals are not recognised; rename UP.MP4 to UP.mp4 (1 such files)" in done.stderr
    assert "no video with one of the endings" in done.stderr


@pytest.mark.parametrize("what", [["--audio"], []])
def test_a_clip_costs_no_more_than_itself(data, what):
    good = write_clip(data / "videos/a.mp4", tone(440, 1, 16000), 16000, frames=10)
    for name in ("東" * 81, "line\nfeed", "in the way"):  # 243 bytes
        os.link(good, data / f"videos/{name}.mp4")
    long = "é" * 126  # 252 bytes: no .wav can be called so
    os.link(good, data / f"videos/{long}.ts")
    (data / "videos/leads nowhere.mp4").symlink_to("/nowhere")
    if what:
        (data / "audios/in the way.wav").mkdir(parents=True)
    else:
        (data / "frames").mkdir()
        (data / "frames/in the way").touch()
    done = extract(data, *what)
    assert done.returncode == 1
    assert "3 extracted, 0 existed, 0 no audio, 3 failed" in done.stdout
    names = [line.partition(":")[0] for line in done.stderr.partition("failed:\n")[2].splitlines()]
    assert names == ["in the way", "leads nowhere", long]
    made = data / ("audios" if what else "frames")
    assert {path.name.removesuffix(".wav") for path in made.iterdir()} >= {"a", "東" * 81, "line\nfeed"}
