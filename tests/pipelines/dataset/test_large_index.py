"""A large index is read in seconds."""

import statistics
import time

from pipelines.dataset.clips import Dataset
from pipelines.dataset.load import load_clips
from pipelines.dataset.media_files import video_ids
from pipelines.dataset.video_index import index_videos
from tests.pipelines.dataset.conftest import LARGE
from tsam_dali.config.load import config_from_dict


def test_many_entries_are_read_in_seconds(large):
    """Ten microseconds each on an idle machine, for reading the index, finding files and looking at size and time."""
    dataset, seconds = Dataset(data_dir=str(large)), []
    ids = video_ids(dataset)
    for _ in range(3):
        start = time.process_time()  # others may use the machine, too
        records = index_videos(dataset, ids, 1)
        seconds.append(time.process_time() - start)
    assert len(records) == LARGE
    assert statistics.median(seconds) / LARGE < 40e-6
    config = config_from_dict({"dataset": {"data_dir": str(large)}, "model": {"audio_segments": 0}})
    start = time.process_time()
    assert sum(map(len, load_clips(config).values())) == LARGE
    assert (time.process_time() - start) / LARGE < 80e-6
