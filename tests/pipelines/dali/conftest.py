"""A data set of frame folders."""

import json
import shutil

import pytest

from tests.helpers.media import write_video
from tests.helpers.processes import run

SIZES = [(96, 128), (128, 96), (90, 160), (112, 112), (144, 176), (64, 96), (100, 140)]


@pytest.fixture(scope="module")
def extracted(tmp_path_factory):
    """A data set of seven clips whose frames were extracted, and whose videos are gone."""
    folder = tmp_path_factory.mktemp("extracted")
    (folder / "videos").mkdir()
    for i, size in enumerate(SIZES):
        write_video(folder / f"videos/clip{i}.mp4", 20 + i, size)
    (folder / "training.txt").write_text("".join(f"clip{i} {i % 3}\n" for i in range(7)))
    (folder / "validation.txt").write_text("".join(f"clip{i} {i % 3}\n" for i in range(7)))
    (folder / "data.json").write_text(json.dumps({"dataset": {"data_dir": str(folder)}}))
    made = run("tools/video2frames.py", "--data", folder / "data.json", "--fps", "0")
    assert made.returncode == 0, made.stderr
    shutil.rmtree(folder / "videos")
    return folder


@pytest.fixture
def data(extracted, tmp_path):
    """A copy that a test may damage."""
    folder = tmp_path / "data"
    shutil.copytree(extracted, folder, ignore=shutil.ignore_patterns("frames.jsonl"))
    return folder
