"""/dev/shm that is too small, as in a container: real commands in a mount namespace with a small one of its own."""

import json
from functools import partial

import pytest

from pipelines.dali.shared_memory import batch_bytes
from pipelines.loader import build_loader
from tests.helpers.checkpoints import TINY, checkpoint
from tests.helpers.loading import SEGMENTS, SIDE, make_clip, settings
from tests.helpers.media import write_video
from tests.helpers.processes import run
from tsam_dali.inference.file_clips import fitting_loader

SMALL = """
import ctypes, os, runpy, subprocess, sys
if ctypes.CDLL(None, use_errno=True).unshare(0x20000):  # CLONE_NEWNS of linux/sched.h: mounts of its own
    sys.exit(os.strerror(ctypes.get_errno()))
subprocess.run(["mount", "--make-rprivate", "/"], check=True)
subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={sys.argv[1]}", "tmpfs", "/dev/shm"], check=True)
sys.argv = sys.argv[2:]
if sys.argv:
    sys.path[0] = os.getcwd()
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
REMEDIES = ("/dev/shm", "--shm-size", "pipeline.workers=0")
WORKERS = ("pipeline.workers=2", "model.audio_segments=0")


@pytest.fixture(scope="module")
def run_with(tmp_path_factory):
    """Run `python -m ...` with a /dev/shm of that size."""
    script = tmp_path_factory.mktemp("script") / "small.py"
    script.write_text(SMALL)
    run_with = partial(run, script)
    if run_with("1M").returncode:
        pytest.skip("mounting a /dev/shm of one's own is not permitted here")
    return run_with


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


def test_a_training_whose_batches_cannot_fit_does_not_start(run_with, data, tmp_path):
    changes = (*TINY, *WORKERS, "training_param.batch_size=4", f"results_folder={tmp_path}")
    words = ("--data", data / "data.json", *(word for change in changes for word in ("--set", change)))
    done = run_with("4M", "tsam_dali.train", *words, "--run_id", "run")
    assert_told(done, "has 4 MB free", "need at least")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("size", "words"), [("1M", ["has 1 MB free", "need at least 3 MB"]), ("6M", ["SIGBUS", "of 6 MB"])]
)
def test_a_loader_ends_before_the_start_or_where_it_grows_too_large(run_with, file, size, words):
    assert_told(run_with(size, "tests.pipelines.reading", file), *words)


def test_evaluations_and_predictions_without_a_gpu_need_none(run_with, data, file, tmp_path):
    common = ("--checkpoint", file, "--device", "cpu")
    done = run_with("1M", "tsam_dali.evaluate", *common, "--protocol", "centre", "--output", tmp_path / "scores")
    assert done.returncode == 0, done.stderr
    done = run_with("1M", "tsam_dali.predict", *common, *(data / f"videos/{i}.mp4" for i in range(12)))
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 12
    assert "WARNING: " not in done.stderr


def test_predictions_on_a_gpu_do_without_workers_where_it_is_too_small(tmp_path, caplog):
    """On the CPU here, by DALI, as a GPU would be fed."""
    clips = [make_clip(tmp_path, i, (96, 128)) for i in range(3)]
    built = []

    def build(config):
        built.append(build_loader(config, "validation", clips))
        vars(built[-1])["_prefetch"] = 10**6  # more than any machine has
        return built[-1]

    loader = fitting_loader(settings(workers=2), build)
    assert loader is built[1]
    assert (built[0].shared_bytes > 10**9, loader.shared_bytes) == (True, 0)
    assert all(word in caplog.text for word in REMEDIES)


def test_what_a_batch_takes(tmp_path):
    clips = [make_clip(tmp_path, i, size) for i, size in enumerate([(96, 128), (60, 80)])]
    config = settings(batch_size=3, model={"video_segments": SEGMENTS, "audio_segments": 2})
    with build_loader(config, "validation", clips, rank_batch=3) as loader:
        frames = 3 * SEGMENTS * (96**2 + 60**2)  # the third place is padding
        assert batch_bytes(loader.source) == frames + 3 * 2 * 3 * SIDE**2 * 4
        assert loader.shared_bytes == 0  # without workers
