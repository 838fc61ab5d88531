"""tools/video2frames.py as its users run it."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile
from PIL import Image

from pipelines.audio.read import read_audio
from pipelines.decode.frames import probe
from tests.helpers.audio_media import noise, tone, write_clip
from tests.helpers.decoding import X265
from tests.helpers.media import frame_numbers, write_video
from tests.helpers.processes import ROOT, run

AWKWARD = "sub folder/-i $(touch x) 100%d 'a:b"


@pytest.fixture
def data(tmp_path):
    """A data set in `tmp_path/data` with an awkward name and a video without audio; data.json beside it."""
    folder = tmp_path / "data"
    (folder / "videos" / "sub folder").mkdir(parents=True)
    write_clip(folder / "videos/a.mp4", noise(0.5, 22050), 22050)
    write_clip(folder / f"videos/{AWKWARD}.mkv", tone(500, 0.5, 48000, 2), 48000)
    write_clip(folder / "videos/silent.mp4", None)
    (folder / "videos/notes.txt").write_text("no video")
    (tmp_path / "data.json").write_text(json.dumps({"dataset": {"data_dir": str(folder)}}))
    return folder


def extract(folder, *more):
    return run("tools/video2frames.py", "--data", folder.parent / "data.json", "--workers", "2", *more)


def files(folder):
    """Every file in a folder with the time of its last change."""
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_audio(data):
    videos = files(data / "videos")
    done = extract(data, "--audio")
    assert done.returncode == 0, done.stderr
    assert "2 extracted, 0 existed, 1 no audio, 0 failed" in done.stdout
    assert "no audio: silent" in done.stdout.splitlines()
    assert set(files(data / "audios")) == {"a.wav", f"{AWKWARD}.wav"}
    for video, rate, channels in (("a.mp4", 22050, 1), (f"{AWKWARD}.mkv", 48000, 2)):
        wav = (data / "audios" / video).with_suffix(".wav")
        info = soundfile.info(wav)
        assert (info.samplerate, info.channels, info.subtype) == (rate, channels, "PCM_16")
        extracted, own = read_audio(wav)[0], read_audio(data / "videos" / video)[0]
        np.testing.assert_allclose(extracted, own[:, : extracted.shape[1]], atol=1.01 * 2**-15)
    assert files(data / "videos") == videos
    assert not (ROOT / "x").exists()

    before = files(data / "audios")
    (data / "audios/a.wav").unlink()
    assert "1 extracted, 1 existed, 1 no audio, 0 failed" in extract(data, "--audio").stdout
    after = files(data / "audios")
    assert {name for name in before if before[name] != after[name]} == {"a.wav"}


def test_frames(data):
    done = extract(data)
    assert done.returncode == 0, done.stderr
    assert "3 extracted, 0 existed, 0 no audio, 0 failed" in done.stdout
    names = {f"{i:05d}.jpg" for i in range(1, 6)}  # 5 frames at 10 frames per second
    assert {path.name for path in (data / "frames").iterdir()} == {"a", "silent", "sub folder"}
    for clip_id in ("a", "silent", AWKWARD):
        assert set(files(data / "frames" / clip_id)) == names
        with Image.open(data / "frames" / clip_id / "00001.jpg") as image:
            assert image.format == "JPEG"
            assert image.size == (341, 256)  # from 64 x 48
    assert "0 extracted, 3 existed" in extract(data).stdout
    assert "3 extracted, 0 existed" in extract(data, "--fps", "5", "--force").stdout
    assert set(files(data / "frames/a")) < names
    assert not list(data.rglob(".*"))
    assert not (ROOT / "x").exists()


def numbers(folder, names):
    return frame_numbers(np.stack([np.asarray(Image.open(folder / name)) for name in names])).tolist()


def test_frame_rate_and_names(data):
    """Frames of an uneven rate: all of them once with --fps 0, and by the clock otherwise."""
    for path in (data / "videos").glob("*.mp4"):
        path.unlink()
    times = [0, 40, 80, 400, 440, 800, 1000, 1040]  # ms
    write_video(data / "videos/uneven.mp4", frames=len(times), pts=times)
    settings = {"dataset": {"data_dir": str(data), "frames_tmpl": "img_{:03d}.png"}}
    (data.parent / "data.json").write_text(json.dumps(settings))
    assert extract(data, "--fps", "0").returncode == 0
    names = [f"img_{i:03d}.png" for i in range(1, len(times) + 1)]
    assert sorted(files(data / "frames/uneven")) == names
    assert numbers(data / "frames/uneven", names) == list(range(len(times)))
    assert extract(data, "--fps", "5", "--force").returncode == 0
    found = sorted(files(data / "frames/uneven"))
    assert 5 <= len(found) <= 6  # of 1.08 s
    assert numbers(data / "frames/uneven", found[:5]) == [2, 2, 4, 4, 5]  # times in units of 200 ms, rounded


@pytest.mark.parametrize("what", [["--audio"], []])
def test_failures_are_listed_and_leave_nothing_behind(data, what):
    (data / "videos/broken.mp4").write_bytes(b"something else")
    (data / "videos/list.mp4").write_bytes(b"ffconcat version 1.0\nfile a.mp4\n")
    done = extract(data, *what)
    assert done.returncode == 1
    assert "2 failed" in done.stdout
    broken, playlist = done.stderr.splitlines()[-2:]
    assert broken.startswith("broken: ")
    assert playlist.startswith("list: ")  # not opened as a playlist
    assert "begins with b'something else', which is not mp4" in broken
    assert "Traceback" not in done.stderr
    made = data / ("audios" if what else "frames")
    assert not list(made.glob("*broken*"))
    assert not list(made.glob(".*"))


@pytest.mark.parametrize("what", [["--audio"], []])
def test_a_name_that_is_no_text_is_named_and_ends_nothing(data, what):
    write_video(data / "videos/b.mp4", frames=10)
    (data / "videos/b.mp4").rename(os.fsdecode(os.fsencode(data) + b"/videos/\xff\n.mp4"))
    done = extract(data, *what)
    if what:  # nothing is written for it
        assert done.returncode == 0
        assert "no audio: \\udcff\\n" in done.stdout.splitlines()
    else:
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1] == "\\udcff\\n: its name is no UTF-8 text; rename it"
    assert f"{2 if what else 3} extracted" in done.stdout


def test_frames_that_cannot_be_decoded_in_full_are_not_extracted(data):
    video = write_video(data / "videos/damaged.mp4", frames=40)
    content = bytearray(video.read_bytes())
    middle = len(content) // 3
    content[middle : middle + 400] = bytes(byte ^ 0x5A for byte in content[middle : middle + 400])
    video.write_bytes(content)
    done = extract(data)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("damaged: ")
    assert not (data / "frames/damaged").exists()


def test_a_single_frame_is_extracted_at_any_rate(data):
    write_video(data / "videos/one.mp4", frames=1)
    assert extract(data).returncode == 0
    assert sorted(files(data / "frames/one")) == ["00001.jpg"]


def test_audio_that_ffmpeg_cannot_decode(data):
    """The container opens, but there is no decoder."""
    video = data / "videos/a.mp4"
    video.write_bytes(video.read_bytes().replace(b"mp4a", b"zzzz").replace(b"esds", b"free"))
    done = extract(data, "--audio")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("a: ")
    assert "ecoder" in done.stderr.splitlines()[-1]  # ffmpeg's words
    assert set(files(data / "audios")) == {f"{AWKWARD}.wav"}


def test_an_interrupted_run_keeps_what_is_done_and_no_halves(data):
    write_video(data / "videos/long.mp4", frames=100)
    for i in range(400):
        os.link(data / "videos/long.mp4", data / f"videos/long{i}.mp4")
    arguments = [sys.executable, "tools/video2frames.py", "--data", data.parent / "data.json", "--workers", "2"]
    process = subprocess.Popen(arguments, cwd=ROOT, start_new_session=True, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(data.glob("frames/long*")):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "run it again to continue" in errors
    done = list((data / "frames").glob("long*"))
    assert 0 < len(done) < 400
    assert {len(files(path)) for path in done} == {40}  # 4 s at 10 frames per second
    assert not list((data / "frames").glob(".*"))


def test_a_link_to_a_video_is_as_good_as_the_video(data):
    os.rename(data / "videos/a.mp4", data / "content")
    (data / "videos/a.mp4").symlink_to(data / "content")
    assert "2 extracted" in extract(data, "--audio").stdout


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--fps", "-1", "--fps: expected 0 or more frames per second, got -1"),
        ("--fps", "nan", "--fps: expected 0 or more frames per second, got nan"),
        ("--fps", "inf", "--fps: expected 0 or more frames per second, got inf"),
        ("--workers", "0", "--workers: expected a whole number from 1, got 0"),
    ],
)
def test_wrong_arguments(data, option, value, message):
    done = extract(data, option, value)
    assert done.returncode == 2
    assert message in done.stderr


def test_input_that_cannot_be_used(data):
    os.rename(data / "videos", data / "elsewhere")
    done = extract(data)
    assert done.returncode == 2
    assert "no video with one of the endings" in done.stderr
    (data.parent / "data.json").write_text("{")
    assert "not a JSON file" in extract(data).stderr


def test_help_says_what_it_does():
    shown = run("tools/video2frames.py", "--help")
    assert shown.returncode == 0
    for words in ("--audio", "--fps", "frames per second", "default", "example: python tools/video2frames.py"):
        assert words in shown.stdout


def test_a_part_of_a_recording_gives_the_frames_that_training_would_read(data):
    """Its first pictures lack what they were predicted from; that is no damage."""
    settings = {"x265-params": f"{X265}:keyint=10:bframes=0"}
    whole = write_video(data / "videos/part.ts", codec="hevc", options=settings).read_bytes()
    (data / "videos/part.ts").write_bytes(whole[len(whole) // 3 // 188 * 188 + 100 :])
    done = extract(data, "--fps", "0")
    assert done.returncode == 0, done.stderr
    assert len(list((data / "frames/part").iterdir())) == probe(data / "videos/part.ts").frames > 10
