"""Frames, crops and draws against independent, straightforward code."""

import math
from collections import Counter

import numpy as np
import pytest

from pipelines.sampling import plan as sampling
from pipelines.sampling.plan import AudioAugmentation, Color, VideoAugmentation

VIDEO, AUDIO = VideoAugmentation(RandomGrayscale=0.2), AudioAugmentation()


def test_validation_frames_by_hand():
    assert sampling.validation_frames(10, 4).tolist() == [1, 3, 6, 8]
    assert sampling.validation_frames(300, 8).tolist() == [18, 56, 93, 131, 168, 206, 243, 281]
    assert sampling.validation_frames(3, 8).tolist() == [0, 0, 0, 1, 1, 2, 2, 2]
    assert sampling.validation_frames(1, 5).tolist() == [0] * 5


@pytest.mark.parametrize("num_segments", [1, 3, 8, 16])
def test_frames_follow_the_rule_for_every_length(num_segments):
    rng = np.random.default_rng(1)
    for n in range(1, 70):
        tick = n / num_segments
        middle = [int(tick / 2 + tick * s) for s in range(num_segments)]
        assert sampling.validation_frames(n, num_segments).tolist() == middle
        seen = np.array([sampling.training_frames(n, num_segments, rng) for _ in range(300)])
        for s in range(num_segments):
            allowed = {min(int(tick * s) + draw, n - 1) for draw in range(int(tick) + 1)}
            assert set(seen[:, s]) <= allowed
            if len(allowed) < 12:
                assert set(seen[:, s]) == allowed  # 300 draws from at most 11 values: a miss has p < 1e-11
        assert seen.dtype == np.int64


def test_training_frames_are_uniform():
    rng = np.random.default_rng(2)
    draws = np.array([sampling.training_frames(100, 5, rng)[2] for _ in range(21_000)]) - 40
    counts = np.bincount(draws, minlength=21)
    assert len(counts) == 21
    assert abs(counts - 1000).max() < 6 * math.sqrt(1000)


def test_scale_pairs():
    assert sampling.scale_pairs([1, 0.9]) == [(1, 1), (1, 0.9), (0.9, 1), (0.9, 0.9)]
    pairs = sampling.scale_pairs([1, 0.875, 0.75, 0.66])
    assert len(pairs) == 10
    assert (1, 0.75) not in pairs
    assert (0.75, 0.875) in pairs


def test_crops_stay_inside_and_have_the_sizes_of_the_pairs():
    rng = np.random.default_rng(3)
    scales = (1, 0.875, 0.75, 0.66)
    for _ in range(2000):
        height, width = rng.integers(1, 400, 2).tolist()
        crop = sampling.random_crop(height, width, scales, rng)
        short = min(height, width)
        sizes = {(max(1, int(short * a)), max(1, int(short * b))) for a, b in sampling.scale_pairs(scales)}
        assert (crop.height, crop.width) in sizes
        assert 0 <= crop.y <= height - crop.height
        assert 0 <= crop.x <= width - crop.width


def test_crops_reach_all_places():
    rng = np.random.default_rng(4)
    places = {sampling.random_crop(10, 12, (0.9,), rng)[:2] for _ in range(500)}
    assert places == {(y, x) for y in range(2) for x in range(4)}


def test_centre_crop():
    assert sampling.centre_crop(360, 640) == (0, 140, 360, 360)
    assert sampling.centre_crop(641, 361) == (140, 0, 361, 361)


def plan(**seeds):
    return sampling.training_plan(300, 360, 640, 8, VIDEO, AUDIO, **{"seed": 1, "epoch": 2, "row": 3, **seeds})


def test_a_plan_is_a_function_of_seed_epoch_and_row():
    def text(plan):
        return repr(plan)

    first = text(plan())
    assert text(plan()) == first
    assert len({first, text(plan(seed=2)), text(plan(epoch=3)), text(plan(row=4))}) == 4


def test_draws_have_their_ranges():
    plans = [plan(row=row) for row in range(4000)]
    flips = np.mean([p.flip for p in plans])
    grey = np.mean([p.color.grey for p in plans])
    colors = np.array([p.color[:4] for p in plans])
    orders = Counter(p.color.order for p in plans)
    cuts = np.array([p.audio_cut for p in plans])
    assert abs(flips - 0.5) < 0.05
    assert abs(grey - 0.2) < 0.04
    low, high = colors.min(0), colors.max(0)
    assert np.allclose(low, [0.8, 0.75, 0.75, -18], atol=0.1)
    assert np.allclose(high, [1.2, 1.25, 1.25, 18], atol=0.1)
    assert len(orders) == 24  # of which each is expected 167 times
    assert 100 < min(orders.values()) <= max(orders.values()) < 240
    assert 0 <= cuts.min() < 0.01 < 0.99 < cuts.max() <= 1
    assert all(p.blur_sigma == 0 for p in plans)


def test_what_is_switched_off_draws_nothing():
    still = VideoAugmentation(RandomHorizontalFlip=False, ColorJitter=False, RandomGrayscale=0)
    quiet = AudioAugmentation(status=False)
    for row in range(200):
        p = sampling.training_plan(300, 360, 640, 8, still, quiet, seed=0, epoch=0, row=row)
        assert (p.flip, p.color, p.blur_sigma, p.audio_cut) == (False, Color(), 0, (0, 0))
    blurred = VideoAugmentation(GaussianBlur=True)
    sigmas = [
        sampling.training_plan(9, 8, 8, 2, blurred, quiet, seed=0, epoch=0, row=row).blur_sigma for row in range(500)
    ]
    assert 0.5 <= min(sigmas) < 0.55
    assert 1.95 < max(sigmas) <= 2


def test_evaluation_plans():
    def view(number):
        return sampling.evaluation_plan(300, 360, 640, 8, seed=0, row=5, view=number)

    assert view(0).frames.tolist() == sampling.validation_frames(300, 8).tolist()
    assert view(0).crop == (0, 140, 360, 360)
    for number in range(1, 30):
        p = view(number)
        assert (p.flip, p.color, p.audio_cut) == (False, Color(), (0, 0))
        assert min(p.crop.height, p.crop.width) >= int(360 * 0.9)
    assert len({repr(view(number)) for number in range(30)}) == 30
    assert repr(view(7)) == repr(view(7))


def test_epoch_order_is_one_permutation_per_epoch():
    orders = [sampling.epoch_order(50, 1, epoch).tolist() for epoch in range(3)]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert orders[0] != orders[1] != orders[2]
    assert orders[1] == sampling.epoch_order(50, 1, 1).tolist()
    assert orders[1] != sampling.epoch_order(50, 2, 1).tolist()
