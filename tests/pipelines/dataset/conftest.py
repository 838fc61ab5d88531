"""Three clips to index."""

import shutil
from pathlib import Path

import pytest

from pipelines.dataset.clips import Dataset
from tests.helpers.media import write_video


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "v.mp4", 20, audio=True)


@pytest.fixture
def dataset(tmp_path, video) -> Dataset:
    """Three clips."""
    (tmp_path / "videos/sub").mkdir(parents=True)
    for clip_id in ("a", "b", "sub/c"):
        shutil.copy(video, tmp_path / f"videos/{clip_id}.mp4")
    return Dataset(data_dir=str(tmp_path))
