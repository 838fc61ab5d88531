"""Clips that cannot be read and workers that are killed: black, named, built again. Real DALI, real workers."""

import logging
import os
import signal
import time
from pathlib import Path

import pytest
import torch

from pipelines import dali_loader
from pipelines.dali.inputs import DecodedVideo, WholeVideo
from pipelines.loader import LoaderError, build_loader
from tests.helpers.loading import SIZES, batches, batches_from, children, damage_packet, make_clip, settings


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("decode", ["gpu", "gpu_whole"])
def test_the_gpu_ways_in_survive_files_that_cannot_be_read(decode, workers, tmp_path, caplog):
    """The first of the list too: `gpu_whole` needs a readable file to stand for others."""
    clips = [make_clip(tmp_path, i, size, "vp9") for i, size in enumerate(SIZES[:6])]
    Path(clips[0].path).write_bytes(b"junk")
    os.truncate(clips[1].path, os.path.getsize(clips[1].path) * 2 // 3)
    damage_packet(clips[2].path, 0)
    damage_packet(clips[3].path, 8)  # a keyframe
    Path(clips[4].path).unlink()
    config = settings(batch_size=7, workers=workers, pipeline={"decode": decode, "max_bad_fraction": 1})
    with caplog.at_level(logging.WARNING), build_loader(config, "validation", clips, rank_batch=7) as loader:
        for _ in range(2):
            (batch,) = loader
            assert batch.row.tolist() == [0, 1, 2, 3, 4, 5, -1]
            assert batch.ok.tolist() == [False] * 5 + [True, False]
            assert batch.video[batch.ok].max() > 0.5
            assert batch.video[~batch.ok].max() < 0.1  # black, as limited-range video knows it
    reasons = {record.args[0]: record.getMessage() for record in caplog.records if "left out" in record.getMessage()}
    assert sorted(reasons) == [clip.id for clip in clips[:5]]
    assert "which is not mp4" in reasons["clip0"]
    assert "cut short" in reasons["clip1"]
    assert "DALI: " in reasons["clip3"] or "damaged" in reasons["clip3"]
    assert "no such file" in reasons["clip4"]


def test_a_path_that_is_no_text_is_named_too(tmp_path, caplog):
    """Linux allows any bytes in a name; Python keeps those that are no UTF-8 as surrogates."""
    clips = [make_clip(tmp_path, i, size) for i, size in enumerate(SIZES[:2])]
    clips[0] = clips[0]._replace(path=str(tmp_path / "caf\udce9/a.mp4"))
    config = settings(batch_size=2, pipeline={"max_bad_fraction": 1})
    with caplog.at_level(logging.WARNING):
        (batch,) = batches(config, "validation", clips)
    assert batch.ok.tolist() == [False, True]
    assert "caf\\udce9/a.mp4: no such file" in caplog.text


def test_clips_that_the_decoder_does_not_know_stop_the_loader(tmp_path):
    """Without a GPU, DALI does not decode H.264: the batch is black, not the end, and that many are too many."""
    clips = [make_clip(tmp_path, i, (96, 128)) for i in range(3)]
    config = settings(batch_size=3, pipeline={"decode": "gpu", "max_bad_fraction": 0.5})
    with pytest.raises(LoaderError, match="2 of 3 clips could not be read.*DALI: .*Failed to create video decoder"):
        batches(config, "training", clips)
    config = settings(batch_size=3, pipeline={"decode": "gpu", "max_bad_fraction": 1})
    (batch,) = batches(config, "training", clips)
    assert not batch.ok.any()


def test_a_fault_of_the_pipeline_itself_is_raised(tmp_path):
    """Where not even black can be decoded, no clip is to blame."""
    clips = [make_clip(tmp_path, i, (96, 128)) for i in range(3)]
    config = settings(batch_size=3, pipeline={"decode": "gpu_whole", "max_bad_fraction": 1})
    with build_loader(config, "training", clips) as loader:
        loader.source.video_input = WholeVideo("nowhere.mp4")
        with pytest.raises(RuntimeError, match="nowhere.mp4"):
            next(iter(loader))


def test_a_clip_that_breaks_later_is_black_and_named_once(tmp_path, caplog):
    clips = [make_clip(tmp_path, i, size) for i, size in enumerate(SIZES)]
    Path(clips[2].path).write_bytes(Path(clips[2].path).read_bytes()[:900])
    config = settings(batch_size=7, workers=2, pipeline={"max_bad_fraction": 0.2})
    with caplog.at_level(logging.WARNING), build_loader(config, "training", clips) as loader:
        for _ in range(3):
            (batch,) = loader
            for row, ok, video in zip(batch.row.tolist(), batch.ok.tolist(), batch.video, strict=True):
                assert ok == (row != 2)
                assert (video.max() == 0) == (row == 2)
    (record,) = caplog.records
    assert "clip2" in record.getMessage()
    assert "truncated" in record.getMessage() or "cut short" in record.getMessage()


def test_too_many_broken_clips_stop_the_loader(tmp_path):
    clips = [make_clip(tmp_path, i, size) for i, size in enumerate(SIZES)]
    for clip in clips[:2]:
        Path(clip.path).write_bytes(b"")
    config = settings(batch_size=7, pipeline={"max_bad_fraction": 0.2})
    with pytest.raises(LoaderError, match="2 of 7 clips could not be read, more than pipeline.max_bad_fraction allows"):
        batches(config, "training", clips)


class Ending(DecodedVideo):
    """A way in by which no worker lives long."""

    def read(self, *_):
        os._exit(3)


def test_workers_that_always_end_are_told_of_with_their_exit_code(tmp_path, caplog, monkeypatch):
    assert dali_loader.TRIES == 4
    monkeypatch.setattr(dali_loader, "TRIES", 2)  # each of them starts a worker
    clips = [make_clip(tmp_path, i, (96, 128)) for i in range(3)]
    with build_loader(settings(workers=1), "training", clips) as loader:
        loader.source.video_input = Ending()
        with pytest.raises(LoaderError, match="2 times in a row at step 0: a decode worker has ended: exit code 3$"):
            next(iter(loader))
    assert caplog.text.count("is started again: a decode worker has ended: exit code 3") == 1


def test_a_killed_worker_costs_nothing_but_time(tmp_path, caplog):
    clips = [make_clip(tmp_path, i, size) for i, size in enumerate(SIZES)]
    reference = batches_from(0, settings(look={"RandomHorizontalFlip": True}), clips, 8)
    before = set(children())
    with build_loader(settings(look={"RandomHorizontalFlip": True}, workers=2), "training", clips) as loader:
        found = list(loader)
        commands = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in set(children()) - before}
        workers = [pid for pid, command in commands.items() if b"spawn_main" in command]
        assert len(workers) == 2
        os.kill(workers[0], signal.SIGKILL)
        time.sleep(0.5)  # DALI itself can wait for ever if it sends work in the very moment in which a worker dies
        while len(found) < 8:
            found += list(loader)
    assert "a decode worker has ended: SIGKILL, perhaps because memory ran out" in caplog.text
    for ours, theirs in zip(found, reference, strict=True):
        assert ours.row.tolist() == theirs.row.tolist()
        assert torch.equal(ours.video, theirs.video)
