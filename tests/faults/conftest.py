"""An ordinary user's rights, for tests that may run as root, whom no permission stops."""

import os
from collections.abc import Iterator

import pytest

NOBODY = 65534


@pytest.fixture
def ordinary_user() -> Iterator[None]:
    """During the test this process has the rights of an ordinary user; folders of pytest may be closed to it."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)
