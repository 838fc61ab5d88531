"""tools/index_videos.py as a user runs it."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tests.helpers.decoding import rewrite
from tests.helpers.media import write_video
from tests.helpers.processes import ROOT, run


@pytest.fixture
def folder(tmp_path):
    """A data set of a good video, a rotated one, a damaged one and one that stands in no list."""
    videos = tmp_path / "data/videos"
    videos.mkdir(parents=True)
    write_video(videos / "good.mp4", 10)
    write_video(videos / "turned.mp4", 10, rotation=90)
    write_video(videos / "vp8.webm", 10, codec="vp8")
    (videos / "b\nad.mp4").write_text("<html>")
    (tmp_path / "data/training.txt").write_text("good 0\nturned 1\n")
    (tmp_path / "data/validation.txt").write_text("vp8 0\n")
    (tmp_path / "data.json").write_text(json.dumps({"dataset": {"data_dir": str(tmp_path / "data")}}))
    return tmp_path


def index(folder, *options):
    return run("tools/index_videos.py", "--data", folder / "data.json", "--workers", "2", *options)


def records(folder) -> dict[str, dict]:
    lines = (folder / "data/index.jsonl").read_text().splitlines()
    return {record["id"]: record for record in map(json.loads, lines)}


def test_clips_of_both_lists(folder):
    done = index(folder)
    assert done.returncode == 0, done.stderr
    assert [line.split() for line in done.stdout.splitlines()[:3]] == [
        ["status", "codec", "clips"],
        ["ok", "h264", "2"],
        ["ok", "vp8", "1"],
    ]
    assert "\n1 of 3 clips belong on NVDEC by their format (docs/gpu.md)\n" in done.stdout
    assert "\n  not for NVDEC: codec vp8: 1 clip\n" in done.stdout
    assert "faulty" not in done.stdout
    assert records(folder).keys() == {"good", "turned", "vp8"}
    assert "indexing videos: 100%" in done.stderr


def test_a_script_gets_numbers_and_reasons(folder):
    with (folder / "data/training.txt").open("a") as file:
        file.write("bad 2\nlost 3\n")
    (folder / "data/videos/bad.mp4").write_text("<html>")
    done = index(folder, "--json")
    assert done.returncode == 2  # of a clip without a file
    found = json.loads(done.stdout)
    assert (found["clips"], found["statuses"]) == (4, {"ok": 3, "not_a_video": 1})
    assert found["not_for_nvdec"] == {"codec vp8": 1, "shown turned or mirrored": 1}
    (faulty,) = found["faulty"]
    assert faulty["id"] == "bad"
    assert "begins with b'<html>'" in faulty["reason"]
    assert [line for line in found["missing"] if "lost" in line]


def test_all_videos_decoded(folder):
    for i in range(25):
        (folder / f"data/videos/empty{i}.mp4").touch()
    (folder / "data/videos/._good.mp4").touch()  # macOS keeps such beside a file
    done = index(folder, "--all", "--decode")
    assert done.returncode == 0, done.stderr
    assert {record["checked"] for record in records(folder).values()} == {"decoded"}
    assert len(records(folder)) == 29
    lines = done.stdout.splitlines()
    begin = lines.index("26 faulty files:")
    assert lines[begin + 1].endswith("b\\nad.mp4: begins with b'<html>', which is not mp4; rename or replace it")
    assert lines[begin + 21 :] == [
        "  ... and 6 more",
        f"all 29 records, with reasons: {folder / 'data/index.jsonl'}",
        f"next: train with --data {folder / 'data.json'}",
    ]
    again = index(folder, "--all")
    assert again.stdout == done.stdout
    assert "indexing" not in again.stderr


def test_limits_of_one_file(folder):
    """Too little memory is a fault of the file, and the next run, with more, finds none."""
    write_video(folder / "data/videos/small.mp4", 3)
    filler = (60_000_000).to_bytes(4, "big") + b"\x0c" + b"\xff" * 59_999_999  # a unit without meaning
    parts = [folder / "data/videos/small.mp4"]
    rewrite(
        folder / "data/videos/good.mp4",
        parts,
        lambda _part, number, packet: (bytes(packet) + filler * (number == 1), packet.pts),
    )
    done = index(folder, "--memory", "40")
    assert done.returncode == 0, done.stderr
    assert "good.mp4: needs more than 40 MB of memory; if it is just large, run" in done.stdout
    assert records(folder)["good"]["status"] == "out_of_memory"
    done = index(folder, "--timeout", "0.0001")
    assert records(folder)["good"]["status"] == "timeout"
    done = index(folder)
    assert {record["status"] for record in records(folder).values()} == {"ok"}


def test_clips_without_a_file_are_named_after_the_others_are_indexed(folder):
    with (folder / "data/training.txt").open("a") as file:
        file.writelines(f"missing{i} 0\n" for i in range(25))
    done = index(folder)
    assert done.returncode == 2
    assert "missing0: no video with one of the endings" in done.stderr
    assert "... and 5 more\n" in done.stderr
    assert len(records(folder)) == 3


@pytest.mark.parametrize(
    ("option", "value"),
    [("timeout", "0"), ("memory", "-1"), ("timeout", "nan"), ("timeout", "inf"), ("memory", "99999999999999")],
)
def test_limits_that_are_none(folder, option, value):
    done = index(folder, f"--{option}", value)
    assert done.returncode == 2
    assert f"--{option}: expected more than 0 and at most 1e+06, got " in done.stderr


def test_the_largest_limits(folder):
    assert index(folder, "--timeout", "1e6", "--memory", "1000000").returncode == 0
    assert {record["status"] for record in records(folder).values()} == {"ok"}


def test_no_workers(folder):
    done = index(folder, "--workers", "0")
    assert done.returncode == 2
    assert "argument --workers: expected a whole number from 1, got 0" in done.stderr


def test_input_that_cannot_be_used(folder):
    (folder / "data/training.txt").write_text("good\n")
    (folder / "data/validation.txt").unlink()
    done = index(folder)
    assert done.returncode == 2
    assert "training.txt:1: expected `ID label`" in done.stderr
    assert "validation.txt: cannot be read" in done.stderr
    shutil.rmtree(folder / "data/videos")
    done = index(folder, "--all")
    assert done.returncode == 2
    assert "no video with one of the endings" in done.stderr
    (folder / "data/videos").mkdir()
    write_video(folder / "data/videos/v.mp4", 2)
    (folder / "data/index.jsonl").mkdir()
    done = index(folder, "--all")
    assert done.returncode == 2
    assert "index.jsonl: cannot be written (Is a directory)" in done.stderr


@pytest.mark.parametrize("kilobytes", [0, 1])  # of room; one: also for a part of a line
def test_a_disk_without_room_for_the_index(folder, kilobytes):
    for i in range(9):
        os.link(folder / "data/videos/good.mp4", folder / f"data/videos/{i}.mp4")
    arguments = [sys.executable, "tools/index_videos.py", "--data", folder / "data.json", "--all"]
    command = f"ulimit -f {kilobytes}; {shlex.join(map(str, arguments))}"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    path = folder / "data/index.jsonl"
    assert re.fullmatch(
        rf"error: {path}: cannot be written \(.*\); see its folder and the disk", done.stderr.splitlines()[-1]
    )
    assert "Traceback" not in done.stderr
    assert "all " not in done.stdout
    assert path.stat().st_size == 1024 * kilobytes


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interruption(folder, number):
    """The terminal sends its signal to all processes of the program, a launcher perhaps to one only."""
    for i in range(3000):
        os.link(folder / "data/videos/good.mp4", folder / f"data/videos/{i}.mp4")
    command = [sys.executable, "tools/index_videos.py", "--data", folder / "data.json", "--all", "--workers", "2"]
    path = folder / "data/index.jsonl"
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, start_new_session=True) as program:
        while program.poll() is None and (not path.exists() or path.stat().st_size < 100_000):
            time.sleep(0.01)
        os.killpg(program.pid, number) if number == signal.SIGINT else program.send_signal(number)
        errors = program.communicate(timeout=30)[1].decode()
    assert program.returncode == 130
    assert errors.endswith("interrupted; what was found is kept: run it again to continue\n")
    assert "Traceback" not in errors
    assert "Warning" not in errors
    assert 100 < len(path.read_text().splitlines()) < 3000


def test_help():
    done = run("tools/index_videos.py", "--help")
    for word in ("--data", "--all", "--decode", "--workers", "--timeout", "--memory", "example: ", "(default: 120)"):
        assert word in done.stdout
