"""Frames and crops of an evaluation's views, against straightforward code."""

import numpy as np
import pytest

from pipelines.sampling import validation_frames
from pipelines.sampling.plan import evaluation_plan
from pipelines.sampling.views import Views, dense_frames, three_crops


def test_dense_frames_by_hand():
    assert dense_frames(100, 8, 0, 10).tolist() == [0, 8, 16, 24, 32, 40, 48, 56]
    assert dense_frames(100, 8, 1, 10)[0] == 4
    assert dense_frames(100, 8, 9, 10).tolist() == [36, 44, 52, 60, 68, 76, 84, 92]
    assert dense_frames(20, 8, 5, 10).tolist() == [0, 8, 16, 4, 12, 0, 8, 16]  # a short video begins anew


@pytest.mark.parametrize("num_segments", [1, 8, 16])
def test_dense_clips_start_evenly_and_stay_inside(num_segments):
    for n in range(1, 300, 7):
        starts = [int(i * max(0, n - 64) / 9) for i in range(10)]
        for clip, start in enumerate(starts):
            frames = dense_frames(n, num_segments, clip, 10)
            assert abs(int(frames[0]) - start) <= 1
            assert 0 <= frames.min() <= frames.max() < n


def test_three_crops_are_squares_along_the_longer_side():
    assert three_crops(360, 640) == ((0, 0, 360, 360), (0, 140, 360, 360), (0, 280, 360, 360))
    assert three_crops(640, 360) == ((0, 0, 360, 360), (140, 0, 360, 360), (280, 0, 360, 360))


def test_all_crops_of_a_clip_follow_each_other():
    views = Views(protocol="tsam", clips=2, crops=3)
    plans = [views.plan(300, 360, 640, 8, seed=0, row=5, view=view) for view in range(len(views))]
    assert len(plans) == 6
    assert [plan.crop.x for plan in plans] == [0, 140, 280] * 2
    assert all(np.array_equal(plan.frames, validation_frames(300, 8)) for plan in plans[:3])
    drawn = evaluation_plan(300, 360, 640, 8, seed=0, row=5, view=1).frames
    assert all(np.array_equal(plan.frames, drawn) for plan in plans[3:])


def test_one_view_is_that_of_validation():
    plan = Views().plan(300, 360, 640, 8, seed=0, row=5, view=0)
    assert plan.frames.tolist() == validation_frames(300, 8).tolist()
    assert plan.crop == (0, 140, 360, 360)
