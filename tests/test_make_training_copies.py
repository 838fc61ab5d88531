"""tools/make_training_copies.py as its users run it."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from pipelines.decode import probe
from tests.media import write_video
from tests.processes import ROOT, run

AWKWARD = "sub folder/-i $(touch x) 100%d a:b.c"


@pytest.fixture
def data(tmp_path):
    """A data set with an awkward name; data.json beside it."""
    folder = tmp_path / "data"
    (folder / "videos/sub folder").mkdir(parents=True)
    for name in ("a.mp4", f"{AWKWARD}.mkv", "c.avi"):
        write_video(folder / "videos" / name, 30, sound=True)
    (folder / "training.txt").write_text(f"a 0\n{AWKWARD} 1\n")
    (folder / "validation.txt").write_text("c 0\n")
    (tmp_path / "data.json").write_text(json.dumps({"dataset": {"data_dir": str(folder)}}))
    return folder


def command(folder, *more):
    quick = ("--short_side", "64", "--preset", "ultrafast", "--workers", "2")
    return ("tools/make_training_copies.py", "--data", str(folder.parent / "data.json"), *quick, *more)


def copies(folder):
    """Every copy with the time of its last change."""
    found = (path for path in (folder / "videos_64").rglob("*.mp4") if not path.name.startswith("."))  # being written
    return {str(path.relative_to(folder / "videos_64")): path.stat().st_mtime_ns for path in found}


def test_copies_are_made_once(data):
    originals = {path: path.stat().st_mtime_ns for path in (data / "videos").rglob("*") if path.is_file()}
    done = run(*command(data))
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
    assert "1 were there already" in again.stdout
    changed = {name for name, time in copies(data).items() if time != first[name]}
    assert changed == {"a.mp4", "c.mp4"}
    assert probe(data / "videos_64/a.mp4").frames == 20

    other = run(*command(data, "--crf", "30"))
    assert "3 copies made" in other.stdout, other.stderr
    assert not (ROOT / "x").exists()


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
    assert "1 copies made" in done.stdout


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
    for i in range(20):
        write_video(data / f"videos/more{i}.mp4", 60, (240, 320))
    (data / "training.txt").write_text("a 0\n" + "".join(f"more{i} 1\n" for i in range(20)))
    options = {"cwd": ROOT, "stderr": subprocess.DEVNULL, "start_new_session": True}
    process = subprocess.Popen([sys.executable, *command(data)], **options)
    while len(copies(data)) < 4 and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(number)
    assert process.wait(timeout=60) in (-signal.SIGKILL, 130)
    time.sleep(1)  # workers of a killed process end by themselves
    if number != signal.SIGKILL:
        assert ends(process.pid)
    finished = copies(data)
    assert len(finished) < 22
    assert all(probe(data / "videos_64" / name).frames in (30, 60) for name in finished)
    done = run(*command(data))
    assert done.returncode == 0, done.stderr
    assert "0 failed" in done.stdout
    assert "0 were there already" not in done.stdout
    assert len(copies(data)) == 22
    assert not list((data / "videos_64").glob(".*.mp4"))  # of copies that were begun


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--short_side", "100"), "multiple of 16 pixels, up to 16384, got 100"),
        (("--crf", "90"), "--crf: Input should be less than or equal to 51"),
        (("--folder", "videos"), "is the folder of the originals"),
        (("--folder", "videos/sub folder"), "lies inside the folder of the originals"),
        (("--folder", "."), "lies inside the folder of the originals or around it"),
        (("--fps", "inf"), "--fps: "),
        (("--short_side", "16000000"), "short side: expected a multiple of 16 pixels"),
        (("--preset", "quick"), "--preset: invalid choice: 'quick'"),
    ],
)
def test_wrong_arguments(data, arguments, message):
    done = run(*command(data, *arguments))
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
