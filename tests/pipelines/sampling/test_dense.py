"""Stretches of dense sampling: the frames that TSM and SlowFast take, by their own formulas; by time elsewhere."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.sampling.dense import FrameSampling, even_rate, mean_rate, packed_times, unpacked_times
from pipelines.sampling.plan import AudioAugmentation, VideoAugmentation, training_plan
from pipelines.sampling.views import Views

RATES = st.sampled_from([10.0, 12.0, 24.0, 25.0, 30000 / 1001, 30.0, 50.0, 60.0])


def dense(**options):
    return FrameSampling(sampling="dense", **options)


class Fixed:
    """In place of a generator: it draws what is asked for, as a part of what may be drawn."""

    def __init__(self, part):
        self.part = part

    def integers(self, low, high):
        return min(high - 1, int(low + self.part * (high - low)))

    def uniform(self, low, high):
        return low + self.part * (high - low)


def tsm(frames, segments, stride, start):
    """Frames that stand `stride` apart and go round in the video."""
    return [(start + stride * s) % frames for s in range(segments)]


def tsm_starts(frames, length):
    """Those that training draws from: below the last one from which a stretch fits."""
    places = max(1, 1 + frames - length)
    return [0] if places == 1 else list(range(places - 1))


def slowfast(frames, segments, length, start):
    """torch.linspace over the stretch, within the video, rounded down."""
    spread = torch.linspace(start, start + length - 1, segments)
    return torch.clamp(spread, 0, frames - 1).long().tolist()


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 500), st.sampled_from([1, 2, 4, 8, 16, 32]), st.integers(0, 9), st.floats(0, 0.999))
def test_tsm_takes_64_frames(frames, segments, view, part):
    """64 // S frames apart; ten clips in a test, drawn ones in training."""
    stride = 64 // segments
    clip = dense(stride=stride).of_clip(segments, frames)
    start = np.linspace(0, max(1, 1 + frames - 64) - 1, num=10, dtype=int)[view]
    assert clip.view(view, 10).frames.tolist() == tsm(frames, segments, stride, start)
    starts = tsm_starts(frames, 64)
    assert clip.random(Fixed(part)).frames.tolist() == tsm(frames, segments, stride, starts[int(part * len(starts))])
    views = Views(protocol="tsm-dense", clips=10).plan(frames, 9, 9, segments, seed=0, row=0, view=view).frames
    assert clip.view(view, 10).frames.tolist() == views.tolist()


def test_tsm_draws_all_of_its_starts_and_no_others():
    rng = np.random.default_rng(0)
    for frames in (20, 64, 65, 66, 90):
        clip = dense(stride=8).of_clip(8, frames)
        assert {int(clip.random(rng).frames[0]) for _ in range(500)} == set(tsm_starts(frames, 64))


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 500),
    st.sampled_from([1, 2, 4, 5, 8, 16, 32]),
    st.integers(1, 8),
    RATES,
    st.sampled_from([15.0, 24.0, 30.0]),
    st.integers(1, 10),
    st.randoms(use_true_random=False),
)
def test_slowfast_spreads_frames_over_its_stretch(frames, segments, stride, rate, target, views, draw):
    """S x stride frames at the target rate, at the rate of the video."""
    clip = dense(stride=stride, target_fps=target, dense_rule="slowfast").of_clip(segments, frames, rate)
    length = max(1.0, stride * segments / target * rate)
    free = max(frames - length, 0)
    for view in range(views):
        start = free * view / views if views > 1 else np.floor(free / 2)
        assert clip.view(view, views).frames.tolist() == slowfast(frames, segments, length, start)
    part = draw.random()
    assert clip.random(Fixed(part)).frames.tolist() == slowfast(frames, segments, length, part * free)


def test_the_same_stretch_in_seconds():
    """64 frames at 30 a second."""
    for rate in (10, 25, 30):
        by_stride = dense(stride=8, target_fps=30.0, dense_rule="slowfast").of_clip(8, 300, rate)
        in_seconds = dense(clip_seconds=64 / 30, dense_rule="slowfast").of_clip(8, 300, rate)
        assert by_stride.length == pytest.approx(in_seconds.length)
        (start, end) = by_stride.view(0).seconds
        assert end - start == pytest.approx(64 / 30)


def test_by_hand():
    clip = dense(stride=8).of_clip(8, 100, 25.0)
    assert clip.view(0).frames.tolist() == [18, 26, 34, 42, 50, 58, 66, 74]
    assert clip.view(0).seconds == (18 / 25, 82 / 25)
    assert [int(clip.view(v, 4).frames[0]) for v in range(4)] == [0, 12, 24, 36]
    clip = dense(stride=8, dense_rule="slowfast").of_clip(8, 100, 25.0)
    assert clip.view(0).frames.tolist() == [18, 27, 36, 45, 54, 63, 72, 81]
    assert [int(clip.view(v, 4).frames[0]) for v in range(4)] == [0, 9, 18, 27]


def test_clips_that_are_shorter_than_the_stretch():
    """TSM starts over, SlowFast repeats the last frame; the audio is that of the whole clip."""
    assert dense(stride=8).of_clip(8, 20, 10.0).view(3, 10).frames.tolist() == [0, 8, 16, 4, 12, 0, 8, 16]
    found = dense(stride=8, dense_rule="slowfast").of_clip(8, 20, 10.0).view(3, 10)
    assert found.frames.tolist() == [0, 9, 18, 19, 19, 19, 19, 19]
    assert found.seconds == (0, 2)
    assert dense(clip_seconds=3.0).of_clip(4, 1, 25.0).view(0).frames.tolist() == [0] * 4


def is_shown(times, frame, second, rounding):
    return times[frame] <= second + rounding and (frame + 1 == len(times) or times[frame + 1] >= second - rounding)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from([10, 33, 40, 80, 500, 2000]), min_size=2, max_size=80),
    st.floats(0.2, 8),
    st.sampled_from(["tsm", "slowfast"]),
    st.floats(0, 0.999),
)
def test_where_the_rate_varies_the_frame_shown_at_the_time(steps, seconds, rule, part):
    times = np.cumsum([0, *steps]) / 1000
    rate = mean_rate(times)
    end = len(times) / rate
    clip = dense(clip_seconds=seconds, dense_rule=rule).of_clip(5, len(times), rate, packed_times(times))
    for frames, (start, stop) in (clip.random(Fixed(part)), clip.view(0), clip.view(2, 3)):
        assert 0 <= start <= stop <= end + 1e-9
        assert stop - start == pytest.approx(max(min(seconds, end), min(1 / rate, end)), abs=1e-6)
        assert frames.min() >= 0
        assert frames.max() < len(times)
        length = max(seconds, 1 / rate)
        if length <= end:
            step = length / 5 if rule == "tsm" else (length - 1 / rate) / 4
            assert all(is_shown(times, frame, start + s * step, 0.002 / rate) for s, frame in enumerate(frames))


def test_times_decide_not_numbers():
    """Four frames in the first second, then one a second: a stretch of four seconds from 0 has six of them."""
    times = np.array([0, 0.25, 0.5, 0.75, 1, 2, 3, 4, 5, 6, 7])
    clip = dense(clip_seconds=4.0).of_clip(4, len(times), mean_rate(times), packed_times(times))
    assert clip.view(0, 10).frames.tolist() == [0, 4, 5, 6]
    assert clip.view(9, 10).seconds[1] == pytest.approx(8, abs=1)


def test_an_even_clip_is_the_same_by_its_times():
    times = 3.5 + np.arange(90) / 30
    for rule in ("tsm", "slowfast"):
        how = dense(stride=4, target_fps=15.0, dense_rule=rule)
        even, by_time = how.of_clip(8, 90, 30.0), how.of_clip(8, 90, mean_rate(times), packed_times(times))
        for view in range(7):
            assert even.view(view, 7).frames.tolist() == by_time.view(view, 7).frames.tolist()


def test_a_rate_is_even_where_no_frame_is_a_frame_late():
    """A whole one, unless the frames are too many for it."""
    copied = [np.ceil(2.5 * i) / 25 for i in range(500)]  # 10 of 25 frames a second
    assert even_rate(7 + np.array(copied)) == 10
    assert even_rate(np.arange(3000) * 1001 / 30000) == pytest.approx(30000 / 1001)
    assert even_rate(np.array([0, 0.04, 0.08, 0.12, 0.5, 0.54])) == 0


def test_times_are_packed_to_a_microsecond():
    times = np.cumsum(np.random.default_rng(0).uniform(0, 2, 500))
    assert np.allclose(unpacked_times(packed_times(times)), times - times[0], atol=1e-6)
    with pytest.raises(ValueError, match="damaged"):
        unpacked_times("AAAA")


def test_an_unknown_rate_is_named():
    assert dense(stride=3).of_clip(4, 30).view(0).seconds is None
    assert dense(clip_seconds=1.0).of_clip(4, 1).view(0).frames.tolist() == [0] * 4  # a single frame has no rate
    with pytest.raises(ValueError, match="how many frames a second has is not known"):
        dense(clip_seconds=1.0).of_clip(4, 30)


@pytest.mark.parametrize("rule", ["tsm", "slowfast"])
def test_draws_follow_from_seed_epoch_and_row(rule):
    video, audio = VideoAugmentation(), AudioAugmentation()
    clip = dense(clip_seconds=2.0, dense_rule=rule).of_clip(8, 300, 30.0)

    def plan(**seeds):
        draws = {"seed": 1, "epoch": 2, "row": 3} | seeds
        return training_plan(300, 360, 640, 8, video, audio, dense=clip, **draws)

    assert repr(plan()) == repr(plan())
    assert plan().audio_cut == (0.0, 0.0)
    starts = [plan(row=row).stretch[0] for row in range(400)]
    assert min(starts) < 0.2
    assert max(starts) > 7.8
    assert len(set(starts)) > 150
    assert {plan(**{name: 9}).stretch for name in ("seed", "epoch", "row", "repeat")} - {plan().stretch}


def test_segments_know_no_stretch():
    assert FrameSampling().of_clip(8, 100, 25.0) is None
    plan = training_plan(100, 8, 8, 4, VideoAugmentation(), AudioAugmentation(), seed=0, epoch=0, row=0)
    assert plan.stretch is None


def test_evaluation_takes_evenly_spaced_stretches_and_every_crop_of_each():
    views = Views(protocol="dense", clips=3, crops=3)
    clip = dense(stride=4).of_clip(8, 100, 25.0)
    plans = [views.plan(100, 36, 64, 8, seed=0, row=5, view=view, dense=clip) for view in range(len(views))]
    assert [int(plan.frames[0]) for plan in plans] == [0] * 3 + [34] * 3 + [68] * 3
    assert [plan.crop.x for plan in plans] == [0, 14, 28] * 3
    one = Views().plan(100, 36, 64, 8, seed=0, row=5, view=0, dense=clip)
    assert one.frames.tolist() == clip.view(0).frames.tolist()
    assert one.crop == (0, 14, 36, 36)
