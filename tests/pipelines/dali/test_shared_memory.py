"""/dev/shm that is too small, as in a container: real commands in a mount namespace with a small one of its own."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from pipelines.dali.shared_memory import batch_bytes
from pipelines.loader import build_loader
from tests.helpers.checkpoints import TINY, checkpoint
from tests.helpers.loading import SEGMENTS, SIDE, make_clip, settings
from tests.helpers.media import write_video
from tests.helpers.processes import ROOT

SMALL = 'mount -t tmpfs -o size={} tmpfs /dev/shm && exec "$@"'
REMEDIES = ("/dev/shm", "--shm-size", "pipeline.workers=0")
WORKERS = ("pipeline.workers=2", "model.audio_segments=0")


def run_with(size, *command):
    """Run `python ...` with a /dev/shm of that size."""
    words = ["unshare", "-m", "bash", "-c", SMALL.format(size), "bash", sys.executable, *map(str, command)]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)


@pytest.fixture(scope="module", autouse=True)
def _allowed():
    if os.getuid() or not shutil.which("unshare") or run_with("1M", "-c", "").returncode:
        pytest.skip("mounting a /dev/shm of one's own is not permitted here")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Twelve clips, of which the last four are large."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "videos").mkdir()
    for i in range(12):
        write_video(folder / f"videos/{i}.mp4", 6, (480, 640) if i >= 8 else (48, 64), options={"g": "1"})
    (folder / "training.txt").write_text("".join(f"{i} {i % 2}\n" for i in range(8, 12)))
    (folder / "validation.txt").write_text("".join(f"{i} {i % 2}\n" for i in range(12)))
    (folder / "data.json").write_text(json.dumps({"dataset": {"data_dir": str(folder)}}))
    return folder


@pytest.fixture(scope="module")
def file(data):
    """A checkpoint beside them."""
    return checkpoint(data / "latest", f"dataset.data_dir={data}", *WORKERS)


def assert_told(done, *words):
    """In one line, without a traceback."""
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert all(word in line for word in (*REMEDIES, *words)), line
    assert "Traceback" not in done.stderr
    assert done.returncode == 2


def test_a_training_whose_batches_cannot_fit_does_not_start(data, tmp_path):
    changes = (*TINY, *WORKERS, "training_param.batch_size=4", f"results_folder={tmp_path}")
    words = ("--data", data / "data.json", *(word for change in changes for word in ("--set", change)))
    done = run_with("4M", "-m", "tsam_dali.train", *words, "--run_id", "run")
    assert_told(done, "has 4 MB free", "need at least")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("size", "words"), [("1M", ["has 1 MB free", "need at least 3 MB"]), ("6M", ["SIGBUS", "of 6 MB"])]
)
def test_an_evaluation_ends_before_the_start_or_where_it_grows_too_large(file, size, words):
    done = run_with(size, "-m", "tsam_dali.evaluate", "--checkpoint", file, "--protocol", "centre", "--batch_size", 1)
    assert_told(done, *words)


def test_predictions_do_without_workers(data, file):
    videos = [data / f"videos/{i}.mp4" for i in range(12)]
    done = run_with("1M", "-m", "tsam_dali.predict", "--checkpoint", file, *videos)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 12
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("WARNING: ")]
    assert all(word in line for word in REMEDIES)


def test_what_a_batch_takes(tmp_path):
    clips = [make_clip(tmp_path, i, size) for i, size in enumerate([(96, 128), (60, 80)])]
    config = settings(batch_size=3, model={"video_segments": SEGMENTS, "audio_segments": 2})
    with build_loader(config, "validation", clips, rank_batch=3) as loader:
        frames = 3 * SEGMENTS * (96**2 + 60**2)  # the third place is padding
        assert batch_bytes(loader.source) == frames + 3 * 2 * 3 * SIDE**2 * 4
        assert loader.shared_bytes == 0  # without workers
