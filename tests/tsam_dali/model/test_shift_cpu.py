"""The shift by blocks: its numbers are those of the slices, and it is what runs on the CPU."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.profiler import ProfilerActivity, profile

from tests.helpers.naive_tsam import naive_shift
from tsam_dali.model import shift_cpu
from tsam_dali.model.shift import shift_by_slices, temporal_shift, transposed_by_slices
from tsam_dali.model.shift_cpu import SMALL, shift_by_blocks, takes
from tsam_dali.model.shift_spec import ShiftSpec

SLICES = {False: shift_by_slices, True: transposed_by_slices}
SPEC = ShiftSpec(9, 8, 4, 4, "keep")


@pytest.fixture(autouse=True, scope="module")
def small():
    """Small activations are taken, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shift_cpu, "SMALL", 0)
        yield


def activation(clips: int, segments: int, channels: int, dtype=torch.float32) -> torch.Tensor:
    x = torch.randn(clips * segments, channels, 2, 3, generator=torch.manual_seed(clips)).to(dtype)
    return x.contiguous(memory_format=torch.channels_last)


@settings(max_examples=150, deadline=None)
@given(
    clips=st.integers(1, 3),
    video_segments=st.integers(1, 9),
    audio_segments=st.integers(0, 2),
    channels=st.integers(1, 200),
    f_div=st.sampled_from([2, 3, 4, 8]),
    depth=st.integers(1, 5),
    edge=st.sampled_from(["keep", "zero"]),
    causal=st.booleans(),
    dtype=st.sampled_from(shift_cpu.DTYPES),
    transposed=st.booleans(),
)
def test_its_numbers_are_those_of_the_slices(
    clips, video_segments, audio_segments, channels, f_div, depth, edge, causal, dtype, transposed
):
    segments = video_segments + audio_segments
    x = activation(clips, segments, channels, dtype)
    spec = ShiftSpec(segments, video_segments, f_div, depth, edge, causal)
    if not takes(x, spec):
        assert channels // f_div // depth == 0
        return
    found = shift_by_blocks(x, spec, transposed=transposed)
    assert torch.equal(found, SLICES[transposed](x, spec))
    assert (found.dtype, found.stride()) == (dtype, x.stride())
    assert found.untyped_storage().data_ptr() != x.untyped_storage().data_ptr()


@pytest.mark.parametrize("transposed", SLICES)
def test_several_tiles(transposed):
    x = torch.randn(18, 64, 23, 19).contiguous(memory_format=torch.channels_last)
    assert x[0, 0].numel() > shift_cpu.TILE
    assert torch.equal(shift_by_blocks(x, SPEC, transposed=transposed), SLICES[transposed](x, SPEC))


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_any_number_of_threads(threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        x = activation(2, 9, 128)
        assert torch.equal(shift_by_blocks(x, SPEC), shift_by_slices(x, SPEC))
    finally:
        torch.set_num_threads(before)


def test_two_threads_of_python_at_once():
    clips = [activation(n, 9, 256) for n in range(1, 9)]
    with ThreadPoolExecutor(2) as pool:
        for x, found in zip(clips, pool.map(lambda x: shift_by_blocks(x, SPEC), clips), strict=True):
            assert torch.equal(found, shift_by_slices(x, SPEC))


def test_bf16_sums_are_rounded_to_even():
    x = activation(2, 9, 256, torch.bfloat16)
    exact = transposed_by_slices(x.float(), SPEC)
    assert not torch.equal(exact, exact.bfloat16().float())
    assert torch.equal(shift_by_blocks(x, SPEC, transposed=True), exact.bfloat16())


@pytest.mark.parametrize("dtype", shift_cpu.DTYPES)
def test_sums_that_are_no_numbers(dtype):
    x = activation(1, 9, 128, dtype)
    x[0], x[2, ::3], x[4, 1::3], x[7] = torch.inf, -torch.inf, torch.nan, torch.finfo(dtype).max
    found, expected = shift_by_blocks(x, SPEC, transposed=True), transposed_by_slices(x, SPEC)
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)
    assert found.isnan().any()
    assert found.isinf().any()


def test_what_it_takes(monkeypatch):
    x = activation(2, 5, 128)
    assert takes(x, ShiftSpec(5, 4, 4, 4, "keep"))
    assert takes(x.bfloat16(), ShiftSpec(5, 4, 3, 2, "keep"))
    assert not takes(x.contiguous(), ShiftSpec(5, 4, 4, 4, "keep"))
    assert not takes(x.half(), ShiftSpec(5, 4, 4, 4, "keep"))
    assert not takes(x.double(), ShiftSpec(5, 4, 4, 4, "keep"))
    assert not takes(x, ShiftSpec(5, 4, 128, 2, "keep"))  # nothing moves
    monkeypatch.setattr(shift_cpu, "SMALL", SMALL)
    assert not takes(x, ShiftSpec(5, 4, 4, 4, "keep"))


def test_pytorch_without_openmp_shifts_by_slices(monkeypatch):
    monkeypatch.setattr(shift_cpu.ctypes, "CDLL", lambda _path: SimpleNamespace())
    shift_cpu._openmp.cache_clear()
    assert not takes(activation(2, 5, 128), ShiftSpec(5, 4, 4, 4, "keep"))
    shift_cpu._openmp.cache_clear()


@pytest.mark.parametrize("edge", ["keep", "zero"])
def test_the_operator_takes_it(edge):
    x = activation(2, 9, 128).requires_grad_()
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        shifted = temporal_shift(x, ShiftSpec(9, 8, 4, 4, edge))
        (gradient,) = torch.autograd.grad(shifted, x, x.detach())
    assert not {event.name for event in seen.events()} & {"aten::clone", "aten::copy_"}  # no slices
    expected = naive_shift(x, 9, 8, 4, 4, edge)
    (expected_gradient,) = torch.autograd.grad(expected, x, x.detach())
    assert torch.equal(shifted, expected)
    torch.testing.assert_close(gradient, expected_gradient)


@pytest.mark.parametrize("name", ["temporal_shift", "temporal_shift_backward"])
@pytest.mark.parametrize("shape", [(10, 64, 3, 2), (10, 64, 1, 1), (5, 64, 1, 3)])
def test_operator_is_registered_correctly(name, shape):
    x = torch.randn(shape).contiguous(memory_format=torch.channels_last).requires_grad_()
    assert takes(x, ShiftSpec(5, 4, 4, 2, "keep"))
    torch.library.opcheck(getattr(torch.ops.tsam_dali, name).default, (x, 5, 4, 4, 2, "keep", False))
