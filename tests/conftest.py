"""Data that many tests read, made once."""

import os
import signal
from pathlib import Path

import pytest

from tests.helpers.processes import run

# As many tests run at a time as there are cores: with more threads than cores, they would wait for each other. torch
# reads it when it is loaded; the commands that tests start get it, too.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# No file of a test has to outlive a power failure, and disks take their time for it.
os.fsync = lambda file: None

# A run in the background of a shell ignores Ctrl-C, and so would all that it starts; the tests that interrupt need it.
signal.signal(signal.SIGINT, signal.default_int_handler)


# These take longest. They come first, so that in the end no process waits long for the other's last file.
LONG = tuple(
    f"tests/tsam_dali/{name}.py"
    for name in ("runs/test_resume", "runs/test_train", "inference/test_serve", "weights/test_hub", "fit/test_fit")
)


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))


@pytest.fixture(scope="session")
def example(tmp_path_factory) -> Path:
    """Folder of a small example data set: 24 training and 9 validation clips; do not change it."""
    folder = tmp_path_factory.mktemp("example") / "data"
    made = run("tools/make_example.py", folder, "--training", "24", "--validation", "9", "--workers", "1")
    assert made.returncode == 0, made.stderr
    return folder


@pytest.fixture
def own_folder(tmp_path, monkeypatch) -> Path:
    """An empty folder, in which the test runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
