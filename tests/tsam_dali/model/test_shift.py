"""The shift: its arithmetic, its derivative, and that compiler and exporter take it."""

import copy
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.helpers.naive_tsam import naive_shift, tsm_shift
from tests.helpers.networks import one_thread  # noqa: F401 (a fixture)
from tests.helpers.processes import TORCHRUN, run
from tsam_dali.model.shift import TemporalShift, temporal_shift
from tsam_dali.model.shift_spec import ShiftSpec

LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


def features(clips: int, segments: int, channels: int, layout: str = "contiguous", dtype=torch.float64) -> torch.Tensor:
    x = torch.randn(clips * segments, channels, 2, 3, generator=torch.manual_seed(0), dtype=torch.float64)
    return x.to(dtype).contiguous(memory_format=LAYOUTS[layout]).requires_grad_()


@settings(max_examples=120, deadline=None)
@given(
    clips=st.integers(1, 2),
    video_segments=st.integers(1, 9),
    audio_segments=st.integers(0, 2),
    channels=st.integers(1, 37),
    f_div=st.sampled_from([2, 3, 4, 8]),
    depth=st.integers(1, 5),
    edge=st.sampled_from(["keep", "zero"]),
    causal=st.booleans(),
    layout=st.sampled_from(sorted(LAYOUTS)),
)
def test_values_and_derivative(clips, video_segments, audio_segments, channels, f_div, depth, edge, causal, layout):
    segments = video_segments + audio_segments
    x = features(clips, segments, channels, layout)
    before = x.detach().clone()
    spec = ShiftSpec(segments, video_segments, f_div, depth, edge, causal)
    shifted, expected = temporal_shift(x, spec), naive_shift(x, *spec)
    assert torch.equal(shifted, expected)
    assert torch.equal(x, before)
    assert shifted.is_contiguous(memory_format=LAYOUTS[layout])
    weights = torch.randn(x.shape, generator=torch.manual_seed(1), dtype=x.dtype)
    (gradient,) = torch.autograd.grad(shifted, x, weights)
    (expected_gradient,) = torch.autograd.grad(expected, x, weights)
    torch.testing.assert_close(gradient, expected_gradient, rtol=0, atol=1e-12)


def test_worked_example_of_the_documentation():
    x = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 6, 1, 1)  # every channel holds its frame's number
    kept = temporal_shift(x, ShiftSpec(4, 4, 3, 1, "keep")).view(4, 6).T.tolist()
    zeroed = temporal_shift(x, ShiftSpec(4, 4, 3, 1, "zero")).view(4, 6).T.tolist()
    assert kept[::2] == [[1, 2, 3, 3], [0, 0, 1, 2], [0, 1, 2, 3]]
    assert zeroed[::2] == [[1, 2, 3, 0], [0, 0, 1, 2], [0, 1, 2, 3]]


def test_a_causal_shift_takes_nothing_from_later_frames():
    x = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 6, 1, 1)
    kept = temporal_shift(x, ShiftSpec(4, 4, 3, 1, "keep", True)).view(4, 6).T.tolist()
    zeroed = temporal_shift(x, ShiftSpec(4, 4, 3, 1, "zero", True)).view(4, 6).T.tolist()
    assert kept[::2] == [[0, 1, 2, 3], [0, 0, 1, 2], [0, 1, 2, 3]]
    assert zeroed[::2] == [[0, 1, 2, 3], [0, 0, 1, 2], [0, 1, 2, 3]]
    clip = features(1, 6, 20)
    for t in range(6):
        (gradient,) = torch.autograd.grad(temporal_shift(clip, ShiftSpec(6, 5, 2, 5, "keep", True))[t].sum(), clip)
        assert not gradient[t + 1 :].any()


@pytest.mark.parametrize("channels", [8, 16, 27])
def test_depth_one_with_zero_edges_is_tsm(channels):
    x = features(2, 5, channels)
    assert torch.equal(temporal_shift(x, ShiftSpec(5, 5, 8, 1, "zero")), tsm_shift(x, 5))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("edge", ["keep", "zero"])
@pytest.mark.parametrize("video_segments", [2, 6])
def test_gradcheck(edge, causal, video_segments):
    x = features(1, video_segments + 1, 7)
    spec = ShiftSpec(video_segments + 1, video_segments, 2, 3, edge, causal)
    assert torch.autograd.gradcheck(lambda x: temporal_shift(x, spec), x)
    assert torch.autograd.gradgradcheck(lambda x: temporal_shift(x, spec), x)


@pytest.mark.parametrize("name", ["temporal_shift", "temporal_shift_backward"])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("edge", ["keep", "zero"])
def test_operator_is_registered_correctly(name, edge, causal):
    operator = getattr(torch.ops.tsam_dali, name).default
    torch.library.opcheck(operator, (features(2, 5, 16, "channels_last"), 5, 4, 4, 2, edge, causal))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_half_precision_under_autocast(dtype, layout):
    exact = features(2, 9, 128, layout, torch.float32)
    with torch.autocast("cpu", dtype):
        x = exact.detach().to(dtype).requires_grad_()
        shifted = temporal_shift(x, ShiftSpec(9, 8, 4, 4, "keep"))
        shifted.backward(exact.to(dtype))
    expected = naive_shift(exact, 9, 8, 4, 4, "keep")
    (gradient,) = torch.autograd.grad(expected, exact, exact.to(dtype).float())
    assert shifted.dtype == x.grad.dtype == dtype
    assert torch.equal(shifted, expected.to(dtype))  # values are moved, not computed with
    half_step = 2**-8 if dtype == torch.bfloat16 else 2**-11  # one sum of two, rounded once, ties in either direction
    torch.testing.assert_close(x.grad.float(), gradient, rtol=half_step, atol=0)
    assert x.grad.is_contiguous(memory_format=LAYOUTS[layout])


class Block(nn.Module):
    """A small residual block."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        return x + self.conv1(x)


def shifted_block(edge: str = "keep", channels: int = 16) -> Block:
    block = Block(channels)
    TemporalShift(channels, ShiftSpec(5, 4, 4, 2, edge)).attach(block, block.conv1)
    return block


def test_a_shifted_layer_keeps_its_name_and_the_shortcut_its_values():
    block = shifted_block()
    assert set(block.state_dict()) == {"conv1.weight", "conv1.bias"}
    x = features(2, 5, 16, dtype=torch.float32)
    plain = nn.functional.conv2d(naive_shift(x, 5, 4, 4, 2, "keep"), block.conv1.weight, block.conv1.bias)
    torch.testing.assert_close(block(x), x + plain)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda block: pickle.loads(pickle.dumps(block))])
def test_a_copy_has_its_own_shift(copied):
    block = shifted_block()
    twin = copied(block)
    x = features(1, 5, 16, dtype=torch.float32)
    assert torch.equal(twin(x), block(x))
    twin.shift.spec = twin.shift.spec._replace(edge="zero")
    assert not torch.equal(twin(x), block(x))


@pytest.mark.parametrize("edge", ["keep", "zero"])
def test_compiles_without_graph_break(edge):
    block = shifted_block(edge)
    compiled = torch.compile(block, backend="aot_eager", fullgraph=True)
    gradients = []
    for one in (block, compiled):
        x = features(2, 5, 16, "channels_last", torch.float32)
        one(x).square().sum().backward()
        gradients.append(x.grad)
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("edge", ["keep", "zero"])
@pytest.mark.parametrize("depth", [2, 7])
def test_exports_to_operators_that_every_reader_knows(edge, causal, depth):
    shift = TemporalShift(20, ShiftSpec(5, 4, 2, depth, edge, causal))
    clips = 5 * torch.export.Dim("clips", min=1, max=100)
    program = torch.export.export(shift, (features(2, 5, 20).detach(),), dynamic_shapes={"x": {0: clips}})
    operators = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert operators
    assert not [name for name in operators if "tsam" in name]
    x = features(3, 5, 20).detach()
    assert torch.equal(program.module()(x), naive_shift(x, 5, 4, 2, depth, edge, causal))


@pytest.mark.slow
def test_ranks_share_the_gradients_of_a_shifted_block(tmp_path):
    """On two ranks under DDP, each with its half of the clips."""
    done = run(*TORCHRUN, 2, "-m", "tests.ranks.shift", tmp_path)
    assert done.returncode == 0, done.stderr
    block = shifted_block(channels=64)
    block.load_state_dict(torch.load(tmp_path / "weights"))
    x = features(4, 5, 64, "channels_last", torch.float32)
    block(x).square().mean().backward()
    for rank in range(2):
        gradients = torch.load(tmp_path / f"gradients_{rank}")
        torch.testing.assert_close(gradients, {name: value.grad for name, value in block.named_parameters()})


def test_refuses_to_move_more_channels_than_there_are():
    with pytest.raises(ValueError, match="f_div 1"):
        TemporalShift(16, ShiftSpec(4, 4, 1, 1, "keep"))
