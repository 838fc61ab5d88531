"""Three clips to index, and many that are indexed."""

import json
import os
import shutil
from pathlib import Path

import pytest

from pipelines.dataset.clips import Dataset
from pipelines.dataset.video_index import VERSION
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


@pytest.fixture(scope="session")
def large(tmp_path_factory) -> Path:
    """100 000 files in 100 folders, with lists and index."""
    root = tmp_path_factory.mktemp("large")
    ids = [f"class{i % 100:03}/clip{i:06}" for i in range(100_000)]
    for folder in range(100):
        (root / f"videos/class{folder:03}").mkdir(parents=True)
    facts = {
        "fps": 29.97,
        "width": 340,
        "height": 256,
        "rotation": 0,
        "mirrored": False,
        "codec": "h264",
        "pix_fmt": "yuv420p",
    }
    facts |= {
        "pixel_aspect": 1.0,
        "interlaced": False,
        "variable_rate": False,
        "audio_rate": 44100,
        "audio_channels": 2,
    }
    same = json.dumps({"version": VERSION, "checked": "demuxed", "status": "ok", "frames": 300, **facts})[1:]
    with (root / "index.jsonl").open("w") as index_file:
        for clip_id in ids:
            file = f"videos/{clip_id}.mp4"
            number = os.open(f"{root}/{file}", os.O_CREAT)
            record = {"id": clip_id, "file": file, "size": 0, "mtime_ns": os.fstat(number).st_mtime_ns}
            os.close(number)
            index_file.write(f"{json.dumps(record)[:-1]}, {same}\n")
    for name, part in (("training", ids[:90_000]), ("validation", ids[90_000:])):
        (root / f"{name}.txt").write_text("".join(f"{clip_id} {int(clip_id[5:8])}\n" for clip_id in part))
    return root
