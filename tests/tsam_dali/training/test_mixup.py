"""Mixup and CutMix: frames, audio and labels of two clips in the same shares."""

import numpy as np
import pytest
import torch

from pipelines.loader import Batch
from tsam_dali.config.sections import TrainingParam
from tsam_dali.distributed import Job
from tsam_dali.training.mixup import drawn_cut, mix, warn_if_alone


def batch(side=2):
    """Four clips, of which the third could not be read."""
    generator = torch.Generator().manual_seed(0)
    video, audio = (torch.rand(4, segments, 3, side, side, generator=generator) for segments in (2, 1))
    return Batch(video, audio, torch.arange(4), torch.arange(4), torch.tensor([True, True, False, True]))


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
@pytest.mark.parametrize(("alpha", "batch_size", "rank"), [(0.2, 4, 0), (0.2, 8, 0), (0.0, 4, 0), (0.2, 4, 1)])
def test_clips_without_partners_are_a_warning(caplog, name, alpha, batch_size, rank):
    options = TrainingParam(**{name: alpha}, batch_size=batch_size)
    warn_if_alone(options, Job(rank, 4, 4, torch.device("cpu")))
    assert (f"training_param.{name}: each rank" in caplog.text) == (alpha > 0 and batch_size == 4 and rank == 0)


def test_audio_and_labels_are_blended_alike():
    own = batch()
    options = TrainingParam(mixup=0.5, seed=1)
    mixed, targets = mix(own, options, step=7)
    share = targets.share[0].item()
    assert 0.5 <= share < 1
    torch.testing.assert_close(mixed.video[0], share * own.video[0] + (1 - share) * own.video[3])
    torch.testing.assert_close(mixed.audio[3], share * own.audio[3] + (1 - share) * own.audio[0])
    assert targets.other.tolist() == [3, 2, 1, 0]
    assert targets.share[1] == 1  # its partner could not be read
    assert torch.equal(mixed.video[1], own.video[1])
    assert mix(own, options, step=7)[1].share[0] == targets.share[0]
    assert mix(own, options, step=8)[1].share[0] != targets.share[0]
    assert mix(own, TrainingParam(seed=1), step=7)[0] is own


def test_frames_audio_and_labels_are_cut_alike():
    side = 40
    own = batch(side)
    before = own.video.clone(), own.audio.clone()
    found = []
    for step in range(30):
        mixed, targets = mix(own, TrainingParam(cutmix=1.0, seed=1), step)
        share = targets.share[0].item()
        found.append(share)
        assert 0.5 - 1.5 / side <= share <= 1
        assert targets.share.tolist() == [share, 1, 1, share]
        assert targets.other.tolist() == [3, 2, 1, 0]
        taken = (mixed.video[0] == own.video[3]).all(0).all(0)  # (H, W): in all frames and colors
        assert torch.equal(mixed.video[0][..., ~taken], own.video[0][..., ~taken])
        assert taken.float().mean().item() == pytest.approx(1 - share, abs=1e-6)
        rows, columns = taken.any(1), taken.any(0)
        assert rows.sum() * columns.sum() == taken.sum()  # a rectangle
        times = (mixed.audio[3] == own.audio[0]).all(0).all(0).all(0)  # (W,): in all bands
        assert torch.equal(mixed.audio[3][..., ~times], own.audio[3][..., ~times])
        assert times.sum().item() == round(side * (1 - share))
        for place in (1, 2):
            assert torch.equal(mixed.video[place], own.video[place])
            assert torch.equal(mixed.audio[place], own.audio[place])
    assert len(set(found)) > 15
    assert torch.equal(own.video, before[0])
    assert torch.equal(own.audio, before[1])


def test_a_cut_lies_inside():
    rng = np.random.default_rng(0)
    cuts = [drawn_cut(1.0, 30, 50, rng) for _ in range(500)]
    for cut in cuts:
        assert 0 <= cut.rows.start <= cut.rows.stop <= 30
        assert 0 <= cut.columns.start <= cut.columns.stop <= 50
        assert 0 <= cut.times.start <= cut.times.stop <= 50
    assert {cut.rows.start for cut in cuts} >= set(range(10))


def test_cutmix_does_not_change_what_mixup_draws():
    """With both, each of them has about half of the steps."""
    own = batch(16)
    both, one = TrainingParam(mixup=0.5, cutmix=1.0), TrainingParam(mixup=0.5)
    same = [torch.equal(mix(own, both, step)[0].video, mix(own, one, step)[0].video) for step in range(100)]
    assert 35 < sum(same) < 65
