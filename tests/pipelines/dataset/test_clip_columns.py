"""Clips as columns: what they hold, what it costs, also to read their index, and how other processes get them."""

import gc
import pickle
import resource
import statistics
import subprocess
import sys
import time
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from pipelines.dataset.clip_columns import Clips
from pipelines.dataset.clips import Clip, Dataset
from pipelines.dataset.load import load_clips
from pipelines.dataset.media_files import video_ids
from pipelines.dataset.video_index import index_videos
from pipelines.loader import build_loader
from tests.helpers.processes import ROOT
from tsam_dali.config.load import config_from_dict
from tsam_dali.runs.resume import fingerprints

TEXTS = [
    ("a", "videos/a.mp4", "", ""),
    ("sub/é", "videos/sub/é.mp4", "sub/é", "3,17"),
    ("c d", "s3://x/c d.mkv", "c d.0123", "-"),
]


def columns(count: int = len(TEXTS)) -> Clips:
    numbers = {"label": range(count), "frames": [300 + i for i in range(count)], "height": [240] * count}
    numbers |= {"width": [2**16] * count, "pixel_aspect": [16 / 15] * count}
    return Clips.of((TEXTS[i % len(TEXTS)] for i in range(count)), numbers)


@pytest.mark.parametrize("count", [0, 1, 3, 1000, 2001])
def test_clips_are_those_that_were_given(count):
    clips = columns(count)
    expected = []
    for i in range(count):
        clip_id, path, audio, target = TEXTS[i % 3]
        expected.append(Clip(clip_id, i, path, 300 + i, 240, 2**16, audio, 16 / 15, target=target))
    assert len(clips) == count
    assert list(clips) == [clips[i] for i in range(count)] == clips[:] == expected
    assert list(pickle.loads(pickle.dumps(clips))) == expected
    if count:
        assert clips[-1] == expected[-1]
        assert all(type(value) in (str, int, float) for value in clips[0])
    with pytest.raises(IndexError):
        clips[count]


def test_pieces_keep_their_places():
    texts = [("a 0 2.5", "a.mp4", "a", "0,1", "times"), ("a 2.5 4", "a.mp4", "a", "-", "")]
    numbers = {"label": [0, 1], "frames": [25, 15], "height": [8, 8], "width": [9, 9], "pixel_aspect": [1.0, 1.0]}
    places = {"first": [0, 25], "start": [0.0, 2.5], "end": [2.5, 4.0], "rate": [10.0, 9.5], "audio_start": [0.5, 0]}
    clips = Clips.of(iter(texts), numbers, places)
    assert list(pickle.loads(pickle.dumps(clips))) == [clips[0], clips[1]]
    assert clips[0] == Clip("a 0 2.5", 0, "a.mp4", 25, 8, 9, "a", 1.0, 0, 0.0, 2.5, "0,1", 10.0, 0.5, "times")
    assert clips[1] == Clip("a 2.5 4", 1, "a.mp4", 15, 8, 9, "a", 1.0, 25, 2.5, 4.0, "-", 9.5)
    assert clips[1].file == "a"


def test_another_process_maps_what_it_is_told_the_name_of():
    clips = columns(20_000)
    told = pickle.dumps(pickle.loads(pickle.dumps(clips)))  # also by one that has not opened them
    assert len(told) < 200
    script = "import pickle, sys; print(pickle.load(sys.stdin.buffer)[19_999])"
    done = subprocess.run([sys.executable, "-c", script], input=told, cwd=ROOT, capture_output=True, check=True)
    assert done.stdout.decode().strip() == str(clips[19_999])


def test_the_file_goes_with_the_last_process_that_holds_it():
    clips = columns()
    name = clips.__reduce__()[1][0]
    del clips
    gc.collect()
    with pytest.raises(OSError, match="No such file"):
        len(Clips(name))


@pytest.fixture(scope="module")
def config(large):
    return config_from_dict({"dataset": {"data_dir": str(large)}, "model": {"audio_segments": 0}})


def timed(work):
    """CPU seconds of a call, as others may use the machine, too; and what it gives."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


@pytest.fixture(scope="module")
def loaded(config):
    """CPU seconds for loading the clips, the first and the second time, and the clips."""
    (first, _), (second, clips) = (timed(lambda: load_clips(config)) for _ in range(2))
    return first, second, clips


def test_a_hundred_thousand_entries_are_read_in_seconds(large):
    """About one second on an idle machine, for reading the index, finding the files and looking at size and time."""
    dataset = Dataset(data_dir=str(large))
    ids = video_ids(dataset)
    seconds, (records, *_) = zip(*(timed(lambda: index_videos(dataset, ids, 1)) for _ in range(3)), strict=True)
    assert len(records) == 100_000
    assert statistics.median(seconds) < 4


def test_a_loader_that_goes_to_a_worker_is_small(config, loaded):
    clips = loaded[2]["training"]
    with build_loader(config, "training", clips) as loader, build_loader(config, "training", clips[:100]) as other:
        assert len(pickle.dumps(loader.source)) < len(pickle.dumps(replace(other.source, clips=[]))) + 200


def test_time_and_memory_of_a_long_list(config, loaded):
    """About 15 us and 500 bytes an entry on an idle machine; ten times as much where clips are single objects."""
    first, second, clips = loaded
    assert sum(map(len, clips.values())) == 100_000
    assert first / 100_000 < 80e-6
    assert second / 100_000 < 60e-6
    tracemalloc.start()
    clips = load_clips(config)
    kept, peak = (size / 100_000 for size in tracemalloc.get_traced_memory())
    tracemalloc.stop()
    assert peak < 900
    assert kept < 10
    assert sum(len(part.content) for part in clips.values()) / 100_000 < 150
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    fingerprints(clips)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KB
    assert np.mean([clip.label for clip in clips["training"]]) == pytest.approx(49.5)
