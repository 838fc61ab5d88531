"""Several samples of each video in a batch: draws of their own, one decode. Real files, real DALI."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from pipelines.decode import frames as decode
from pipelines.loader import build_loader
from pipelines.sampling.batch_order import TrainingOrder
from pipelines.sampling.plan import epoch_order
from tests.helpers.loading import SIZES, batches, batches_from, expected_video, make_clip, resized_as_pillow, settings
from tsam_dali.config.load import ConfigError

LOOK = {"RandomHorizontalFlip": True}


def repeated(batch_size=6, repeats=2, **options):
    return settings(look=LOOK, training_param={"batch_size": batch_size, "seed": 3, "repeats": repeats}, **options)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    return [make_clip(folder, i, size) for i, size in enumerate(SIZES)]


@pytest.mark.parametrize("world", [1, 2, 4])
def test_samples_of_a_video_stand_side_by_side(world):
    options = {"num_clips": 13, "batch_size": 24, "seed": 7, "repeats": 3, "world": world}
    ranks = [TrainingOrder(**options, rank=rank) for rank in range(world)]
    assert {len(rank) for rank in ranks} == {1}
    for epoch in range(3):
        found = [rank.position(epoch, place) for rank in ranks for place in range(rank.rank_batch)]
        rows = epoch_order(13, 7, epoch)[:8]
        assert [(p.row, p.repeat) for p in found] == [(row, repeat) for row in rows for repeat in range(3)]
        assert {p.epoch for p in found} == {epoch}


def test_a_batch_with_more_samples_than_the_list_has_is_refused():
    assert len(TrainingOrder(num_clips=4, batch_size=8, seed=0, repeats=2)) == 1
    with pytest.raises(ValueError, match="has only 4 clips; choose at most 8"):
        TrainingOrder(num_clips=4, batch_size=10, seed=0, repeats=2)


@pytest.mark.parametrize("decode", ["cpu", "gpu"])
@pytest.mark.parametrize("workers", [0, 2])
def test_pixels_are_those_of_each_samples_own_plan(tmp_path, clips, workers, decode):
    if decode == "gpu":  # the graph of NVDEC, with DALI's CPU decoder, which takes VP9
        clips = [make_clip(tmp_path, i, size, "vp9") for i, size in enumerate(SIZES[:4])]
    config = repeated(workers=workers, pipeline={"decode": decode})
    with build_loader(config, "training", clips) as loader:
        found = list(loader)
        source = loader.source
    assert len(found) == len(clips) * 2 // 6
    for step, batch in enumerate(found):
        assert batch.ok.all()
        rows = batch.row.tolist()
        assert rows[::2] == rows[1::2]
        positions = [source.order.position(step, place) for place in range(6)]
        plans = [source.plan(position) for position in positions]
        assert all(list(a.frames) != list(b.frames) or a.crop != b.crop for a, b in pairwise(plans))
        for video, row, plan in zip(batch.video.numpy(), rows, plans, strict=True):
            difference = np.abs(video * 255 - expected_video(clips[row], plan))
            assert resized_as_pillow(difference) if decode == "cpu" else difference.max() <= 8
            assert difference.mean() < (0.1 if decode == "cpu" else 2)


def test_the_first_sample_is_that_of_training_without_repeats(clips):
    config, plain = repeated(batch_size=14), settings(look=LOOK, batch_size=7)
    (both,), (alone,) = batches(config, "training", clips), batches(plain, "training", clips)
    assert both.row[::2].tolist() == alone.row.tolist()
    np.testing.assert_array_equal(both.video[::2], alone.video)


def test_batches_depend_on_nothing_but_the_step(clips):
    config = repeated(batch_size=4)
    whole = batches_from(0, config, clips, 6)
    for expected, found in zip(whole[4:], batches_from(4, config, clips, 2), strict=True):
        np.testing.assert_array_equal(found.video, expected.video)
    for rank in range(2):
        for expected, found in zip(whole, batches(config, "training", clips, rank=rank, world=2), strict=False):
            np.testing.assert_array_equal(found.video, expected.video[2 * rank : 2 * rank + 2])


def test_each_video_is_decoded_once(clips, monkeypatch):
    read, real = [], decode.wanted_frames
    monkeypatch.setattr(decode, "wanted_frames", lambda path, *how: read.append(path) or real(path, *how))
    decode._kept_frames.cache_clear()
    with build_loader(repeated(batch_size=12, repeats=3), "training", clips) as loader:
        samples = [loader.source.sample(0, place) for place in range(12)]
    assert all(sample.meta[2] for sample in samples)
    assert read == [clips[sample.meta[1]].path for sample in samples[::3]]


def test_a_rare_class_has_other_samples_each_time_and_pixels_of_its_own(clips):
    """Six clips of class 0, two of class 2: of the 7 videos in a batch, with 2 samples each, 3 or 4 are of class 2."""
    config = settings(look=LOOK, training_param={"batch_size": 14, "seed": 3, "repeats": 2, "sampling": "balanced"})
    with build_loader(config, "training", [clips[0], *clips[2:4], clips[6]] * 2) as loader:
        source = loader.source
        (batch,) = loader
    plans = [source.plan(source.order.position(0, place)) for place in range(14)]
    assert sorted(batch.label.tolist().count(label) for label in (0, 2)) == [6, 8]
    assert len({(row, str(plan)) for row, plan in zip(batch.row.tolist(), plans, strict=True)}) == 14
    for video, row, plan in zip(batch.video.numpy(), batch.row.tolist(), plans, strict=True):
        assert resized_as_pillow(np.abs(video * 255 - expected_video(source.clips[row], plan)))


def test_without_repeats_no_frame_is_kept(clips):
    decode._kept_frames.cache_clear()
    batches(settings(), "training", clips)
    batches(repeated(), "validation", clips)
    assert decode._kept_frames.cache_info().currsize == 0


def test_a_broken_video_is_black_in_all_its_samples_and_counts_once(tmp_path):
    clips = [make_clip(tmp_path, i, size) for i, size in enumerate(SIZES[:4])]
    Path(clips[1].path).write_bytes(b"")
    config = repeated(batch_size=8, workers=2, pipeline={"max_bad_fraction": 0.25})
    with build_loader(config, "training", clips) as loader:
        (batch,) = loader
        assert list(loader.bad) == [1]
    assert (batch.row == 1).sum() == 2
    assert (batch.ok == (batch.row != 1)).all()


def test_batches_hold_whole_videos():
    with pytest.raises(ConfigError, match="repeats: 4 samples of each video do not fill batch_size 6"):
        repeated(repeats=4)
