"""An index of 100 000 videos is read in seconds."""

import json
import os
import statistics
import time
from pathlib import Path

import pytest

from pipelines.dataset.clips import Dataset
from pipelines.dataset.load import load_clips
from pipelines.dataset.media_files import video_ids
from pipelines.dataset.video_index import VERSION, index_videos
from tsam_dali.config.load import config_from_dict


@pytest.fixture(scope="module")
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
    facts |= {"pixel_aspect": 1.0, "variable_rate": False, "audio_rate": 44100, "audio_channels": 2}
    with (root / "index.jsonl").open("w") as index_file:
        for clip_id in ids:
            file = f"videos/{clip_id}.mp4"
            os.close(os.open(root / file, os.O_CREAT))
            record = {"id": clip_id, "file": file, "size": 0, "mtime_ns": os.stat(root / file).st_mtime_ns}
            record |= {"version": VERSION, "checked": "demuxed", "status": "ok", "frames": 300, **facts}
            index_file.write(json.dumps(record) + "\n")
    for name, part in (("training", ids[:90_000]), ("validation", ids[90_000:])):
        (root / f"{name}.txt").write_text("".join(f"{clip_id} {int(clip_id[5:8])}\n" for clip_id in part))
    return root


def test_a_hundred_thousand_entries_are_read_in_seconds(large):
    """About one second on an idle machine, for reading the index, finding the files and looking at size and time."""
    dataset, seconds = Dataset(data_dir=str(large)), []
    ids = video_ids(dataset)
    for _ in range(3):
        start = time.process_time()  # others may use the machine, too
        records = index_videos(dataset, ids, 1)
        seconds.append(time.process_time() - start)
    assert len(records) == 100_000
    assert statistics.median(seconds) < 4
    config = config_from_dict({"dataset": {"data_dir": str(large)}, "model": {"audio_segments": 0}})
    start = time.process_time()
    assert sum(map(len, load_clips(config).values())) == 100_000
    assert time.process_time() - start < 8
