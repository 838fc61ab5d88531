"""tools/precompute_audio.py as its users run it."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipelines.audio.mel_records import read_summary
from pipelines.audio.mel_store import MelStore
from pipelines.dataset.audio_files import audio_states
from pipelines.dataset.clips import Dataset
from pipelines.mel import log_mel_picture
from tests.helpers.audio_media import noise, tone, write_clip
from tests.helpers.mel_stores import OPTIONS, command, precompute, stored, write_settings
from tests.helpers.processes import ROOT, called, run
from tools import precompute_audio

SPACED = "sub folder/-a $(touch x) %d"


@pytest.fixture
def data(tmp_path):
    """A data set in `tmp_path/data` with its JSON files beside it."""
    folder = tmp_path / "data"
    (folder / "videos" / "sub folder").mkdir(parents=True)
    (folder / "audios").mkdir()
    for clip_id in ("a", "b", SPACED, "unlisted"):
        write_clip(folder / "videos" / f"{clip_id}.mp4", tone(500, 0.3, 16000))
    soundfile.write(folder / "audios/b.wav", noise(0.3, 8000, 2).T, 8000)
    write_clip(folder / "videos/silent.mkv", None)
    (folder / "training.txt").write_text(f"a 0\nb 1\n{SPACED} 0\n")
    (folder / "validation.txt").write_text("silent 0\na 0\n")
    write_settings(tmp_path, folder)
    return folder


def test_clips_of_both_lists_are_stored_once_and_skipped_afterwards(data):
    done = precompute(data)
    assert done.returncode == 0, done.stderr
    assert "3 clips stored, 1 stored as silent, 0 were done already, 0 failed" in done.stdout
    first = stored(data)
    assert set(first) == {"a", "b", SPACED, "silent"}
    dataset, store = Dataset(data_dir=str(data)), MelStore(data / "mels", OPTIONS)
    assert (
        store.check(
            audio_states(dataset, {name: data / f"videos/{name}.mp4" for name in ("a", "b", SPACED)})[0]
        ).problems
        == []
    )
    for clip_id, source in (("a", "videos/a.mp4"), ("b", "audios/b.wav"), (SPACED, f"videos/{SPACED}.mp4")):
        np.testing.assert_allclose(
            store.spectrogram(clip_id, 2), log_mel_picture(data / source, OPTIONS, 2), atol=0.005
        )
    assert not (ROOT / "x").exists()

    # The size of the picture is no matter of the store; the time of a video is; a lost file is made again.
    os.utime(data / "videos/a.mp4")
    (data / f"mels/{SPACED}.safetensors").unlink()
    again = precompute(data, "--set", "data_augmentation.audio_image_param.spec_size=[3,8,8]")
    assert again.returncode == 0
    assert "2 clips stored, 0 stored as silent, 2 were done already, 0 failed" in again.stdout
    second = stored(data)
    assert {clip_id for clip_id in first if second[clip_id] == first[clip_id]} == {"b", "silent"}

    forced = precompute(data, "--force")
    assert "3 clips stored, 1 stored as silent, 0 were done already" in forced.stdout


def test_failures_are_listed_and_the_rest_is_stored(data):
    (data / "videos/a.mp4").write_bytes(b"something else")
    (data / "audios/b.wav").write_bytes(b"")
    (data / "validation.txt").write_text("silent 0\nnot_there 1\n")
    with (data / "training.txt").open("a") as file:
        file.write("not_there 1\n")
    done = precompute(data)
    assert done.returncode == 1
    assert "1 clip stored, 1 stored as silent, 0 were done already, 3 failed" in done.stdout
    listed = done.stderr.splitlines()[-3:]
    assert "not_there: no video with one of the endings" in listed[0]
    assert listed[1].startswith("a: ")
    assert "a.mp4: the audio cannot be read (" in listed[1]
    assert "b.wav: the audio cannot be read (" in listed[2]
    assert "Traceback" not in done.stderr
    assert {name: records[-1].status for name, records in read_summary(data / "mels").items()} == {
        "a": "failed",
        "b": "failed",
        SPACED: "ok",
        "silent": "silent",
    }

    write_clip(data / "videos/a.mp4", tone(500, 0.3, 16000))
    soundfile.write(data / "audios/b.wav", noise(0.3, 8000).T, 8000)
    (data / "training.txt").write_text(f"a 0\nb 1\n{SPACED} 0\n")
    (data / "validation.txt").write_text("silent 0\n")
    assert "2 clips stored, 0 stored as silent, 2 were done already, 0 failed" in precompute(data).stdout


def test_problems_of_settings_and_lists(data):
    assert "unknown key modl" in precompute(data, "--set", "modl.arch=resnet18").stderr
    (data / "training.txt").write_text("a\n")
    done = precompute(data)
    assert done.returncode == 2
    assert "training.txt:1: expected `ID label`" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def long_data(data):
    """So many clips that a run takes seconds."""
    ids = [f"clip{i:04d}" for i in range(2000)]
    for clip_id in ids:
        os.link(data / "videos/a.mp4", data / f"videos/{clip_id}.mp4")
    (data / "training.txt").write_text("".join(f"{clip_id} 0\n" for clip_id in ids))
    return data


def start(folder: Path) -> subprocess.Popen:
    """Start the tool with two workers in a process group of its own; returns once some clips are done."""
    arguments = [sys.executable, *command(folder, "--workers", "2")]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(arguments, cwd=ROOT, start_new_session=True, **pipes)
    deadline = time.monotonic() + 60
    while len(read_summary(folder / "mels")) < 20:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return process


def assert_is_kept(folder: Path):
    """What the summary names is stored, and nothing is left half done; after shortening the list, nothing is to do."""
    known = read_summary(folder / "mels")
    assert 20 <= len(known) < 2000
    (folder / "training.txt").write_text("".join(f"{clip_id} 0\n" for clip_id in known))
    (folder / "validation.txt").write_text(f"{next(iter(known))} 0\n")
    assert f"0 clips stored, 0 stored as silent, {len(known)} were done already" in precompute(folder).stdout


def test_an_interrupted_run_keeps_what_is_done(long_data):
    process = start(long_data)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "run it again to continue" in errors
    assert_is_kept(long_data)


def test_a_killed_worker_stops_the_run_with_a_reason(long_data):
    process = start(long_data)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    workers = [pid for pid in children if "popen_loky" in Path(f"/proc/{pid}/cmdline").read_text()]
    os.kill(int(workers[0]), signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "error: a worker process was killed" in errors
    assert "Traceback" not in errors
    assert_is_kept(long_data)


def test_training_copies_are_heard_with_the_audio_of_their_originals(data):
    """The README's commands: nothing is computed anew, and nothing that earlier checkpoints need is replaced."""
    (data / "audios/b.wav").unlink()
    precompute(data)
    first = stored(data)
    made = run("tools/make_training_copies.py", "--data", data.parent / "data.json", "--short_side", 48, "--workers", 1)
    assert made.returncode == 0, made.stderr
    copies = ("--set", "dataset.dir_videos=videos_48")
    assert "0 clips stored, 0 stored as silent, 4 were done already" in precompute(data, *copies).stdout
    assert "4 clips stored" not in precompute(data, *copies, "--force").stdout  # 3 with audio
    assert {clip_id: first[clip_id] for clip_id in stored(data)} == first
    assert "0 clips stored, 0 stored as silent, 4 were done already" in precompute(data).stdout


def test_help_says_what_it_does():
    shown = run("tools/precompute_audio.py", "--help")
    assert shown.returncode == 0
    for words in ("log-mel", "--workers", "--force", "--set", "default", "example: python tools/precompute_audio.py"):
        assert words in shown.stdout


LONG, TOO_LONG = "東京" * 38, "é" * 125  # 228 bytes; and 250, with which ID.mp4 is a name but not ID.safetensors


def test_a_clip_costs_no_more_than_itself(data):
    for clip_id in (LONG, TOO_LONG, "wavdir", "wavlink"):
        os.link(data / "videos/a.mp4", data / f"videos/{clip_id}.mp4")
    (data / "videos/viddir.mp4").mkdir()
    (data / "videos/vidlink.mp4").symlink_to("/nowhere")
    (data / "audios/wavdir.wav").mkdir()
    (data / "audios/wavlink.wav").symlink_to("/nowhere")
    (data / "mels/coldir.safetensors/x").mkdir(parents=True)
    os.link(data / "videos/a.mp4", data / "videos/coldir.mp4")
    bad = (TOO_LONG, "wavdir", "wavlink", "viddir", "vidlink", "coldir")
    for split in ("training", "validation"):
        (data / f"{split}.txt").write_text("".join(f"{clip_id} 0\n" for clip_id in ("a", *bad, LONG)), encoding="utf-8")
    done = precompute(data)
    assert done.returncode == 1
    assert "2 clips stored, 0 stored as silent, 0 were done already, 6 failed" in done.stdout
    assert "Traceback" not in done.stderr
    for clip_id in bad:
        assert sum(clip_id in line for line in done.stderr.partition("failed:")[2].splitlines()) == 1
    assert f"{TOO_LONG}.safetensors: cannot be written (File name too long)" in done.stderr
    assert stored(data).keys() >= {"a", LONG}
    kept = MelStore(data / "mels", OPTIONS).spectrogram(LONG, 1)
    np.testing.assert_allclose(kept, log_mel_picture(data / f"videos/{LONG}.mp4", OPTIONS, 1), atol=0.005)
    # Training leaves such clips out, as many as pipeline.max_bad_fraction allows.
    videos = {clip_id: data / f"videos/{clip_id}.mp4" for clip_id in (TOO_LONG, "wavdir", LONG)}
    states, without_file = audio_states(Dataset(data_dir=str(data)), videos)
    found = MelStore(data / "mels", OPTIONS).check(states)
    assert (found.problems, found.failed.keys() | without_file.keys()) == ([], {TOO_LONG, "wavdir"})


def test_a_full_disk_ends_the_run_with_one_sentence(data, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    done = called(precompute_audio.main, *command(data, "--workers", "1")[1:])
    *_, said = done.stderr.splitlines()
    assert (done.returncode, said[:7], said[-43:]) == (2, "error: ", "cannot be written (No space left on device)")
