"""An index that is damaged, cannot be written, or is written by several runs, some of which are killed."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from pipelines.dataset.clips import Dataset
from pipelines.dataset.index_file import index_writer
from pipelines.dataset.video_index import index_videos
from pipelines.parallel.sandbox import Limits
from tests.helpers import probes
from tests.helpers.indexing import index, lines, probed
from tests.helpers.media import write_video
from tests.helpers.processes import ROOT


def test_damaged_lines_are_ignored(dataset, caplog):
    probed(dataset)
    path = dataset.root / "index.jsonl"
    first, second, third = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + b"\xff{]\n\n[]\n1\n" + b'{"file": []}\n' + second + third[:40])
    with caplog.at_level(logging.WARNING):
        assert probed(dataset) == [Path(json.loads(third)["file"]).name]
    assert f"{path}: a damaged line is ignored; its clip is checked again" in caplog.messages
    assert len(lines(dataset)) == 3


MISSING = "missing"


NONSENSE = {
    **{f"frames {value}": {"frames": value} for value in ("x", None, -1, 0, 10**9, float("nan"), 2.5, True, MISSING)},
    **{f"status {value}": {"status": value} for value in ([1], None, MISSING)},
    **{f"aspect {value}": {"pixel_aspect": value} for value in ("x", None, 0, float("nan"), float("inf"))},
    **{"no reason": {"status": "damaged"}, "height 0": {"height": 0}, "width": {"width": [64]}, "file": {"file": []}},
}


def test_records_that_cannot_be_are_looked_at_again(dataset, caplog):
    """A file for each kind, and one whose record is whole."""
    for number in range(len(NONSENSE)):
        os.link(dataset.videos / "a.mp4", dataset.videos / f"{number}.mp4")
    whole = index(dataset)
    changed = [whole["a"]]
    for number, nonsense in enumerate(NONSENSE.values()):
        record = whole[str(number)] | nonsense
        changed.append({name: value for name, value in record.items() if value != MISSING})
    path = dataset.root / "index.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in changed))
    looked_at = probed(dataset)
    missed = [kind for number, kind in enumerate(NONSENSE) if f"{number}.mp4" not in looked_at]
    assert (missed, "a.mp4" in looked_at) == ([], False)
    assert index(dataset) == whole
    assert caplog.text.count("a damaged line is ignored") == 2 * len(NONSENSE)  # when it is read, and when it goes


def test_brackets_that_nest_deep(dataset, caplog):
    whole = index(dataset)
    with (dataset.root / "index.jsonl").open("a") as file:
        file.write("[" * 100_000 + "\n")
    assert index(dataset) == whole
    assert "a damaged line is ignored" in caplog.text


def test_an_index_that_cannot_be_written_is_a_warning(dataset, caplog):
    (dataset.root / "index.jsonl").symlink_to("none/index.jsonl")
    with caplog.at_level(logging.WARNING):
        assert {record["status"] for record in index(dataset).values()} == {"ok"}
    assert caplog.text.count("cannot be saved") == 1


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow), signal.SIGKILL]
)
def test_interrupted_and_continued(dataset, number):
    """Whenever it ends, what was found out is kept, and no file is looked at a second time but those in work."""
    for i in range(60):
        os.link(dataset.videos / "a.mp4", dataset.videos / f"{i}.mp4")
    script = (
        "import sys; from pipelines.dataset.clips import *; from pipelines.dataset.media_files import *\n"
        "from pipelines.dataset.video_index import *; from tests.helpers import probes\n"
        "dataset, probe = Dataset(data_dir=sys.argv[1]), partial(probes.slowly, calls=sys.argv[2])\n"
        "index_videos(dataset, video_ids(dataset), 2, probe=probe)"
    )
    calls = dataset.root / "calls"
    command = [sys.executable, "-c", script, str(dataset.root), str(calls)]
    ended_early = 0
    for wanted in (5, 25, 45):
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, start_new_session=True) as program:
            while program.poll() is None and (not calls.exists() or calls.read_text().count("\n") < wanted):
                time.sleep(0.01)
            ended_early += program.poll() is None
            os.killpg(program.pid, number) if number == signal.SIGINT else program.send_signal(number)
            program.wait(timeout=20)
    assert ended_early == 3
    records = index(dataset, probe=partial(probes.slowly, calls=str(calls)))
    assert len(records) == len(lines(dataset)) == 63
    assert {record["status"] for record in records.values()} == {"ok"}
    looked_at = len(calls.read_text().splitlines())
    assert 63 <= looked_at <= 63 + 3 * 4  # two in work, two on their way, for each interruption


def test_two_runs_at_once_keep_what_both_find(dataset):
    path = dataset.root / "index.jsonl"
    with index_writer(path) as add:
        add({"id": "x", "file": "videos/x.mp4", "status": "damaged", "reason": "first"})
        assert len(index(dataset)) == 3  # another run, from beginning to end
        add({"id": "y", "file": "videos/y.mp4", "status": "damaged", "reason": "second"})
    assert sorted(record["id"] for record in lines(dataset)) == ["a", "b", "sub/c", "x", "y"]
    os.utime(dataset.videos / "a.mp4", ns=(0, 0))
    index(dataset)
    assert len(lines(dataset)) == 5  # nobody adds to it any more: the line that another replaces is gone


def test_what_a_limit_ended_says_nothing_of_a_shorter_look(tmp_path):
    dataset = Dataset(data_dir=str(tmp_path))
    dataset.videos.mkdir()
    write_video(dataset.videos / "a.mp4", 10)
    limits = Limits(seconds=1)
    slow = index_videos(dataset, ["a"], 1, checked="decoded", limits=limits, probe=probes.sleeping_decode)
    assert slow["a"]["status"] == "timeout"
    assert index_videos(dataset, ["a"], 1, probe=probes.sleeping_decode)["a"]["status"] == "ok"
