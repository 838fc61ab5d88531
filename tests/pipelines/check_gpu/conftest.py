"""What tests of child processes look for at their end."""

import multiprocessing

import pytest

from tests.helpers.forks.limited import forked_children as forked_children


@pytest.fixture
def no_process_is_left():
    before = set(multiprocessing.active_children())  # the idle workers of tests before this one
    yield
    assert set(multiprocessing.active_children()) <= before
