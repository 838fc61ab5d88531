"""Limited children (`pipelines.check_gpu.child`) forked off a process that has imported what they need."""

import multiprocessing

import pytest

from pipelines.check_gpu import child


@pytest.fixture
def forked_children(monkeypatch):
    """Spare each child the seconds that its imports take, and of the speeds the seconds that show nothing more."""
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(["tests.helpers.forks.limited_imports"])
    monkeypatch.setattr(child, "PROCESSES", forks)
