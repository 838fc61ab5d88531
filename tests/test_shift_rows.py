"""The transposed shift by rows: its numbers are those of the slices, and it is what runs on the CPU."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.profiler import ProfilerActivity, profile

from tests.naive_tsam import naive_shift
from tests.networks import one_thread  # noqa: F401 (a fixture)
from tsam_dali.shift import temporal_shift, transposed_by_slices
from tsam_dali.shift_rows import takes, transposed_by_rows

STEP = {torch.float32: 0, torch.float16: 0, torch.bfloat16: 2**-7}
"""Sums are those of the slices, but for bf16, where ties between two numbers are rounded up instead of to even."""


def activation(clips: int, segments: int, channels: int, dtype=torch.float32) -> torch.Tensor:
    x = torch.randn(clips * segments, channels, 2, 3, generator=torch.manual_seed(clips)).to(dtype)
    return x.contiguous(memory_format=torch.channels_last)


@settings(max_examples=150, deadline=None)
@given(
    clips=st.integers(1, 3),
    video_segments=st.integers(1, 9),
    audio_segments=st.integers(0, 2),
    group=st.integers(1, 20),
    f_div=st.sampled_from([2, 3, 4, 8]),
    depth=st.integers(1, 5),
    edge=st.sampled_from(["keep", "zero"]),
    causal=st.booleans(),
    dtype=st.sampled_from(sorted(STEP, key=str)),
)
def test_its_numbers_are_those_of_the_slices(
    clips, video_segments, audio_segments, group, f_div, depth, edge, causal, dtype
):
    segments = video_segments + audio_segments
    x = activation(clips, segments, f_div * depth * group, dtype)
    options = (segments, video_segments, f_div, depth, edge, causal)
    found, expected = transposed_by_rows(x, *options), transposed_by_slices(x, *options)
    torch.testing.assert_close(found, expected, rtol=STEP[dtype], atol=0)
    assert (found.dtype, found.stride()) == (dtype, x.stride())
    assert found.untyped_storage().data_ptr() != x.untyped_storage().data_ptr()


def test_bf16_is_rounded_once():
    x = activation(2, 9, 256, torch.bfloat16)
    exact = transposed_by_slices(x.float(), 9, 8, 4, 4, "keep", False)
    found = transposed_by_rows(x, 9, 8, 4, 4, "keep", False)
    torch.testing.assert_close(found.float(), exact, rtol=2**-8, atol=0)  # half a step
    assert not torch.equal(found.float(), exact)


def test_what_it_takes():
    x = activation(2, 5, 128)
    assert takes(x, 5, 4, 4, 4, "keep", False)
    assert takes(x.half(), 5, 4, 4, 2)  # rows of 32 bytes
    assert not takes(x.half(), 5, 4, 4, 4)  # of 16
    assert not takes(x.contiguous(), 5, 4, 4, 4)
    assert not takes(x.double(), 5, 4, 4, 4)
    assert not takes(x, 5, 4, 3, 1)  # 128 is no multiple of 42
    assert not takes(x, 5, 4, 128, 2)  # nothing moves


@pytest.mark.parametrize("edge", ["keep", "zero"])
def test_the_operator_takes_it_for_gradients(edge):
    x = activation(2, 9, 128).requires_grad_()
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        shifted = temporal_shift(x, 9, 8, 4, 4, edge)
        (gradient,) = torch.autograd.grad(shifted, x, x.detach())
    assert sum(event.name == "aten::_embedding_bag_forward_only" for event in seen.events()) == 1
    expected = naive_shift(x, 9, 8, 4, 4, edge)
    (expected_gradient,) = torch.autograd.grad(expected, x, x.detach())
    assert torch.equal(shifted, expected)
    torch.testing.assert_close(gradient, expected_gradient)


@pytest.mark.parametrize("name", ["temporal_shift", "temporal_shift_backward"])
@pytest.mark.parametrize("shape", [(10, 64, 3, 2), (10, 64, 1, 1), (5, 64, 1, 3)])
def test_operator_is_registered_correctly(name, shape):
    x = torch.randn(shape).contiguous(memory_format=torch.channels_last).requires_grad_()
    assert takes(x, 5, 4, 4, 2)
    torch.library.opcheck(getattr(torch.ops.tsam_dali, name).default, (x, 5, 4, 4, 2, "keep", False))
