"""Videos that benchmarks are tried on."""

from pathlib import Path

import pytest

from tests.helpers.media import write_video


@pytest.fixture(scope="session")
def videos(tmp_path_factory) -> Path:
    """A folder with two short videos; do not change it."""
    folder = tmp_path_factory.mktemp("videos")
    for name in ("one", "two"):
        write_video(folder / f"{name}.mp4", 30, audio=True)
    return folder
