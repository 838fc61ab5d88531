"""Data that many tests read, made once."""

import signal
from pathlib import Path

import pytest

from tests.helpers.processes import run

# A run in the background of a shell ignores Ctrl-C, and so would all that it starts; the tests that interrupt need it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def example(tmp_path_factory) -> Path:
    """Folder of a small example data set: 24 training and 9 validation clips; do not change it."""
    folder = tmp_path_factory.mktemp("example") / "data"
    made = run("tools/make_example.py", folder, "--training", "24", "--validation", "9")
    assert made.returncode == 0, made.stderr
    return folder


@pytest.fixture
def own_folder(tmp_path, monkeypatch) -> Path:
    """An empty folder, in which the test runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
