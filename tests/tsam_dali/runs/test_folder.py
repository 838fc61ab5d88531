"""The folder of a run: its place, what becomes of its status and log, and that one process at a time trains in it."""

import errno
import fcntl
import json
import logging
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.helpers.networks import settings
from tests.helpers.processes import ROOT, start
from tsam_dali.config.load import ConfigError
from tsam_dali.runs.folder import RunFolder
from tsam_dali.runs.signals import Interrupted


@pytest.fixture
def config(tmp_path):
    return settings(f"results_folder={tmp_path}")


def state_of(folder):
    return json.loads((folder.path / "status.json").read_text())["state"]


@pytest.mark.parametrize("run_id", ["../x", "a/../../x", "a/..", "/tmp/x", "."])
def test_a_run_stays_inside_the_results_folder(config, run_id):
    with pytest.raises(ConfigError, match=f"--run_id {run_id}: expected the name of a folder inside results_folder"):
        RunFolder(config, run_id)


def test_a_run_may_have_a_folder_in_a_folder(config, tmp_path):
    assert RunFolder(config, "a/b").path == tmp_path / "a/b"


def test_runs_that_begin_in_the_same_second_have_folders_of_their_own(config, tmp_path, monkeypatch):
    monkeypatch.setattr(time, "strftime", lambda *_: "now")
    with RunFolder(config, None) as first, RunFolder(config, None) as second, RunFolder(config, None) as third:
        fail(third)
        second.create(config, None)
        fail(third)  # has begun nothing, and the folder is another's
        assert not (second.path / "status.json").exists()
        first.create(config, None)
        with pytest.raises(Interrupted), third.reported():
            raise Interrupted("SIGTERM")
    assert [folder.path for folder in (first, second, third)] == [tmp_path / name for name in ("now_2", "now", "now_3")]
    assert first.checkpoints.path == tmp_path / "now_2/checkpoints"
    assert json.loads((first.path / "args.json").read_text())["results_folder"] == str(tmp_path)
    assert [path.name for path in third.path.iterdir()] == ["status.json"]


START = """
import sys
from tsam_dali.config import load_config
from tsam_dali.runs.folder import RunFolder
config = load_config("config/example_data.json", "config/example_config.json", [f"results_folder={sys.argv[1]}"])
sys.stdin.readline()
with RunFolder(config, None) as folder:
    folder.create(config, None)
    print(folder.path.name, flush=True)
    sys.stdin.readline()
"""


def test_processes_that_start_at_once_have_folders_of_their_own(tmp_path):
    (tmp_path / "start.py").write_text(START)
    results, pipes = tmp_path / "results", {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [start(tmp_path / "start.py", results, **pipes) for _ in range(3)]
    for _ in range(2):
        for process in processes:
            process.stdin.write("\n")
            process.stdin.flush()
    names = [process.communicate()[0].strip() for process in processes]
    assert all(process.returncode == 0 for process in processes)
    assert sorted(path.name for path in results.iterdir()) == sorted(names)
    assert len(set(names)) == 3


def fail(folder):
    with pytest.raises(ValueError, match="odd"), folder.reported():
        raise ValueError("odd")


def test_only_a_run_that_has_begun_or_has_no_status_fails(config):
    with RunFolder(config, "run") as folder:
        folder.path.mkdir()
        fail(folder)
        assert state_of(folder) == "failed"
        folder.write_status("finished")
        fail(folder)
        assert state_of(folder) == "finished"
        folder.create(config, None)
        fail(folder)
        assert state_of(folder) == "failed"


def test_one_process_at_a_time(config):
    with RunFolder(config, "run") as first, RunFolder(config, "run") as second:
        first.create(config, None)
        who = f"process {os.getpid()} on {os.uname().nodename}"
        with pytest.raises(
            ConfigError, match=f"run: {who} is training in it; wait until it ends, or choose another --run_id"
        ):
            second.create(config, None)
    for _ in range(2):
        with RunFolder(config, "run") as third:
            third.create(config, None)
            assert (third.path / "run.lock").read_text() == who


def test_a_file_system_without_locks_is_no_reason_to_stop(config, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with RunFolder(config, "run") as folder:
        folder.create(config, None)
        assert (folder.path / "args.json").exists()


HOLD = """
import multiprocessing, subprocess, sys, time
from pathlib import Path
from tests.helpers.networks import settings
from tsam_dali.runs.folder import RunFolder
if __name__ == "__main__":
    config = settings(f"results_folder={sys.argv[1]}")
    with RunFolder(config, "run") as folder:
        folder.create(config, None)
        worker = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(600,))
        worker.start()
        other = subprocess.Popen(["sleep", "600"])
        print(worker.pid, other.pid, flush=True)
        time.sleep(600)
"""


def test_children_do_not_hold_the_folder_of_a_killed_trainer(config, tmp_path):
    (tmp_path / "hold.py").write_text(HOLD)
    words = [sys.executable, tmp_path / "hold.py", tmp_path]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True)
    children = [int(pid) for pid in process.stdout.readline().split()]
    try:
        with (
            RunFolder(config, "run") as folder,
            pytest.raises(ConfigError, match=f"process {process.pid} on .* is training in it"),
        ):
            folder.create(config, None)
        process.kill()
        process.wait()
        with RunFolder(config, "run") as folder:
            folder.create(config, None)
    finally:
        process.kill()
        for child in children:
            os.kill(child, signal.SIGKILL)  # an error if it had ended before
        process.communicate()
    assert len(children) == 2


def test_the_log_begins_before_there_is_a_folder(config, caplog):
    caplog.set_level(logging.INFO)
    log, before = logging.getLogger("tsam_dali"), list(logging.getLogger().handlers)
    with RunFolder(config, "run") as folder:
        log.info("24 clips")
        folder.create(config, None)
        assert "INFO 24 clips" in (folder.path / "log.txt").read_text()
        log.warning("a clip is black")
        lines = (folder.path / "log.txt").read_text().splitlines()
        assert [line.split(" ", 2)[2] for line in lines] == ["INFO 24 clips", "WARNING a clip is black"]
    assert logging.getLogger().handlers == before
    log.warning("of another run")
    assert (folder.path / "log.txt").read_text().splitlines() == lines
