"""tools/make_training_copies.py as its users run it."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from pipelines.decode.frames import probe
from tests.helpers.media import write_video
from tests.helpers.processes import ROOT, run

AWKWARD = "sub folder/-i $(touch x) 100%d a:b.c"


@pytest.fixture
def data(tmp_path):
    """A data set with an awkward name; data.json beside it."""
    folder = tmp_path / "data"
    (folder / "videos/sub folder").mkdir(parents=True)
    for name in ("a.mp4", f"{AWKWARD}.mkv", "c.avi"):
        write_video(folder / "videos" / name, 30, audio=True)
    (folder / "training.txt").write_text(f"a 0\n{AWKWARD} 1\n")
    (folder / "validation.txt").write_text("c 0\n")
    (tmp_path / "data.json").write_text(json.dumps({"dataset": {"data_dir": str(folder)}}))
    return folder


def command(folder, *more):
    quick = ("--profile", "every_frame", "--short_side", "64", "--preset", "ultrafast", "--workers", "1")
    return ("tools/make_training_copies.py", "--data", str(folder.parent / "data.json"), *quick, *more)


def copies(folder):
    """Every copy with the time of its last change."""
    found = (path for path in (folder / "videos_64").rglob("*.mp4") if not path.name.startswith("."))  # being written
    return {str(path.relative_to(folder / "videos_64")): path.stat().st_mtime_ns for path in found}


def test_copies_are_made_once(data):
    originals = {path: path.stat().st_mtime_ns for path in (data / "videos").rglob("*") if path.is_file()}
    done = run(*command(data, "--workers", "2"))
    assert done.returncode == 0, done.stderr
    assert "3 copies made" in done.stdout
    assert "--set dataset.dir_videos=videos_64" in done.stdout
    first = copies(data)
    assert set(first) == {"a.mp4", f"{AWKWARD}.mp4", "c.mp4"}
    assert all(probe(data / "videos_64" / name).frames == 30 for name in first)
    assert {path: path.stat().st_mtime_ns for path in originals} == originals

    (data / "videos_64/c.mp4").write_bytes(b"cut")  # what is not as it was made is made anew
    write_video(data / "videos/a.mp4", 20)  # and so is what was made of another file
    again = run(*command(data))
    assert "2 copies made" in again.stdout, again.stderr
    assert "1 existed already" in again.stdout
    changed = {name for name, time in copies(data).items() if time != first[name]}
    assert changed == {"a.mp4", "c.mp4"}
    assert probe(data / "videos_64/a.mp4").frames == 20

    other = run(*command(data, "--crf", "35"))
    assert "3 copies made" in other.stdout, other.stderr
    assert not (ROOT / "x").exists()


EARLIER = {
    "short_side": 64,
    "fps": 0.0,
    "crf": 26.0,
    "preset": "slow",
    "tune": "fastdecode",
    "group": 16,
    "b_frames": 7,
}
"""Options as `copies.jsonl` had them before there were profiles."""


def test_copies_of_earlier_versions_are_neither_mixed_with_new_ones_nor_made_anew_unasked(data):
    tool = ("tools/make_training_copies.py", "--data", str(data.parent / "data.json"), "--folder", "videos_64")
    tool += ("--workers", "1")
    named = [word for name, value in EARLIER.items() for word in (f"--{name}", str(value))]
    assert run(*tool, *named, "--adaptive").returncode == 0
    path = data / "videos_64/copies.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert all(record["options"] == EARLIER | {"adaptive": True} for record in records)
    path.write_text("".join(json.dumps(record | {"options": EARLIER}) + "\n" for record in records))
    first = copies(data)
    (data / "videos_64/c.mp4").unlink()

    again = run(*tool)
    assert again.returncode == 0, again.stderr
    wishes = " ".join([*named, "--adaptive"])
    remedy = "name options, such as --profile fast, to make all copies anew"
    assert again.stdout.startswith(f"{data}/videos_64: goes on as its copies were made, with {wishes}; {remedy}\n")
    assert "1 copy made" in again.stdout
    assert {name for name, time in copies(data).items() if time != first[name]} == {"c.mp4"}
    assert [probe(data / "videos_64" / name).frames for name in first] == [30] * 3

    (data / "training.txt").write_text("a 0\n")  # of three clips, two are listed
    other = run(*tool, "--profile", "small", "--short_side", "64")
    assert f"{data}/videos_64: 2 copies made with {wishes}: made anew\n" in other.stdout
    assert "2 copies made (" in other.stdout
    assert [probe(data / "videos_64" / name).frames for name in ("a.mp4", "c.mp4")] == [12, 12]

    (data / "training.txt").write_text(f"a 0\n{AWKWARD} 1\n")
    mixed = run(*tool)
    assert mixed.returncode == 2
    assert f"{data}/videos_64: not all copies were made with the same options" in mixed.stderr
    assert f"1 copy with {wishes}" in mixed.stderr
    last = run(*tool, "--profile", "fast")
    assert "3 copies made" in last.stdout
    silent = run(*tool)  # the default, and all are there
    assert silent.stdout.startswith(f"{data}/videos_64: 0 copies made, 3 existed already"), silent.stdout


def test_copies_of_later_versions_are_left_alone(data):
    assert run(*command(data)).returncode == 0
    path = data / "videos_64/copies.jsonl"
    path.write_text(path.read_text().replace('"crf"', '"quality"'))
    done = run(*command(data))
    assert done.returncode == 2
    assert "was made by another version" in done.stderr
    assert "choose another --folder" in done.stderr


def test_failures_are_listed(data):
    broken = data / "videos/c.avi"
    content = broken.read_bytes()
    broken.write_bytes(content[: len(content) // 2])
    done = run(*command(data))
    assert done.returncode == 1
    assert "2 copies made" in done.stdout
    assert "1 failed" in done.stdout
    assert "c.avi" in done.stderr
    broken.write_bytes(content)
    done = run(*command(data))
    assert done.returncode == 0, done.stderr
    assert "1 copy made" in done.stdout


def test_a_clip_costs_no_more_than_itself(data):
    long = "東京" * 41  # 246 bytes
    os.link(data / "videos/a.mp4", data / f"videos/{long}.mp4")
    os.link(data / "videos/a.mp4", data / "videos/in the way.mp4")
    too_long = "é" * 126  # 252 bytes: a name with .ts, not with .mp4
    write_video(data / f"videos/{too_long}.ts", 30)
    (data / "videos_64/in the way.mp4").mkdir(parents=True)
    text = "".join(f"{clip_id} 0\n" for clip_id in ("a", long, too_long, "in the way", "nothing"))
    (data / "training.txt").write_text(text, encoding="utf-8")
    done = run(*command(data))
    assert done.returncode == 1
    assert "3 copies made" in done.stdout
    assert "0 existed already, 3 failed" in done.stdout
    failed = done.stderr.partition("failed:\n")[2].splitlines()
    for name, reason in (("nothing", "no video"), ("in the way", "Is a directory"), (too_long, "File name too long")):
        assert sum(name in line and reason in line for line in failed) == 1, failed
    assert probe(data / f"videos_64/{long}.mp4").frames == 30


def test_copies_may_lie_anywhere(data, tmp_path):
    done = run(*command(data, "--folder", tmp_path / "fast"))
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "fast").rglob("*.mp4"))) == 3
    assert f"--set dataset.dir_videos={tmp_path / 'fast'}" in done.stdout


def test_a_video_that_is_too_narrow_is_named(data):
    write_video(data / "videos/c.mp4", 2, (4500, 16))
    done = run(*command(data))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"{data}/videos/c.mp4: is too narrow, its copy would have 18000 x 64 pixels (at most 16384); "
        "choose a smaller --short_side or leave it out of the list"
    )


SIGINT = pytest.param(signal.SIGINT, marks=pytest.mark.slow)


def ends(group: int) -> bool:
    """Whether the processes of a group are gone within 20 seconds."""
    for _ in range(200):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, SIGINT])
def test_an_interrupted_run_goes_on(data, number):
    write_video(data / "videos/more0.mp4", 60, (240, 320))
    for i in range(1, 20):
        os.link(data / "videos/more0.mp4", data / f"videos/more{i}.mp4")
    (data / "training.txt").write_text("a 0\n" + "".join(f"more{i} 1\n" for i in range(20)))
    options = {"cwd": ROOT, "stderr": subprocess.DEVNULL, "start_new_session": True}
    process = subprocess.Popen([sys.executable, *command(data, "--workers", "2")], **options)
    while len(copies(data)) < 4 and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(number)
    assert process.wait(timeout=60) in (-signal.SIGKILL, 130)
    assert ends(process.pid)
    finished = copies(data)
    assert len(finished) < 22
    assert all(probe(data / "videos_64" / name).frames in (30, 60) for name in finished)
    left = [f"more{i}" for i in range(20) if f"more{i}.mp4" not in finished]
    ids = [name.removesuffix(".mp4") for name in finished] + left[:6]  # some of those were begun
    (data / "training.txt").write_text("".join(f"{clip_id} 1\n" for clip_id in ids))
    done = run(*command(data))
    assert done.returncode == 0, done.stderr
    assert "0 failed" in done.stdout
    assert "0 existed already" not in done.stdout
    assert copies(data).keys() == {f"{clip_id}.mp4" for clip_id in [*ids, "c"]}
    assert not list((data / "videos_64").glob(".*.mp4"))  # of copies that were begun


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--short_side", "100"), "error: --short_side: expected a multiple of 16 pixels, up to 16384, got 100"),
        (("--crf", "90"), "--crf: Input should be less than or equal to 51"),
        (("--folder", "videos"), "is the folder of the originals"),
        (("--folder", "videos/sub folder"), "lies inside the folder of the originals"),
        (("--folder", "."), "lies inside the folder of the originals or around it"),
        (("--fps", "inf"), "--fps: "),
        (("--short_side", "16000000"), "--short_side: expected a multiple of 16 pixels"),
        (("--preset", "quick"), "--preset: invalid choice: 'quick'"),
    ],
)
def test_wrong_arguments(data, arguments, message):
    done = run(*command(data, *arguments))
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
