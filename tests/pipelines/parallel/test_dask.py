"""The long tools on a Dask cluster: a real one, of two worker processes on this machine."""

import json
import os

import pytest
from distributed import LocalCluster

from pipelines.parallel import pool
from pipelines.parallel.pool import in_processes
from tests.helpers.media import write_video
from tests.helpers.processes import called, run
from tools import precompute_audio
from tsam_dali.cli.common import EXAMPLE_CONFIG

COUNT = 24


@pytest.fixture(scope="module")
def address():
    """Of a cluster with workers as `dask worker` starts them: daemonic children of a nanny."""
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        yield cluster.scheduler_address


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dask")
    videos = folder / "data/videos"
    videos.mkdir(parents=True)
    video = write_video(folder / "video.mp4", 6, audio=True)
    for i in range(COUNT):
        os.link(video, videos / f"clip{i}.mp4")
    (videos / "bad.mp4").write_text("<html>")
    (folder / "data/training.txt").write_text("".join(f"clip{i} {i % 2}\n" for i in range(COUNT)) + "bad 0\n")
    (folder / "data/validation.txt").write_text("clip0 0\n")
    (folder / "data.json").write_text(json.dumps({"dataset": {"data_dir": str(folder / "data")}}))
    return folder


def tool(name, folder, address, *options):
    return run(f"tools/{name}.py", "--data", folder / "data.json", "--dask", address, *options)


def test_jobs_run_in_the_workers(address):
    pids = set(in_processes(os.getpgid, [(0,)] * 45, 1, address))
    assert 1 <= len(pids) <= 2
    assert len(list(in_processes(os.path.basename, [(f"/{i}",) for i in range(45)], 1, address))) == 45


def test_index_in_limited_child_processes_of_the_workers(folder, address):
    done = tool("index_videos", folder, address)
    assert done.returncode == 0, done.stderr
    records = {r["id"]: r for r in map(json.loads, (folder / "data/index.jsonl").read_text().splitlines())}
    assert len(records) == COUNT + 1
    assert records["bad"]["status"] == "not_a_video"
    assert {records[f"clip{i}"]["frames"] for i in range(COUNT)} == {6}
    (folder / "data/index.jsonl").unlink()
    done = tool("index_videos", folder, address, "--memory", 1, "--timeout", 0.001)
    assert done.returncode == 0, done.stderr
    assert "timeout" in done.stdout
    (folder / "data/index.jsonl").unlink()


@pytest.mark.slow
def test_copies_and_audio(folder, address):
    (folder / "data/training.txt").write_text("".join(f"clip{i} {i % 2}\n" for i in range(4)))
    done = tool("make_training_copies", folder, address, "--short_side", 32)
    assert done.returncode == 0, done.stderr
    assert "4 copies made" in done.stdout
    done = tool("precompute_audio", folder, address, "--config", "config/example_config.json")
    assert done.returncode == 0, done.stderr
    assert "4 clips stored" in done.stdout


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense://1"])
def test_no_scheduler(folder, monkeypatch, address):
    monkeypatch.setattr(pool, "SECONDS_TO_CONNECT", 1)
    options = ("--data", folder / "data.json", "--dask", address, "--config", EXAMPLE_CONFIG, "--force")
    done = called(precompute_audio.main, *options)
    assert done.returncode == 2
    assert f"error: --dask {address}: no scheduler answers there" in done.stderr
