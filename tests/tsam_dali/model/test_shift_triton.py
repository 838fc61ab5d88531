"""The Triton kernel: its numbers in Triton's interpreter equal the portable shift's, and it compiles for GPUs."""

import os
import subprocess
import sys

import pytest
import torch

from tests.helpers.processes import ROOT
from tsam_dali.model.shift import temporal_shift
from tsam_dali.model.shift_spec import ShiftSpec

triton = pytest.importorskip("triton")

COMPARE = """
import itertools
import torch
from tsam_dali.model.shift import shift_by_slices, transposed_by_slices
from tsam_dali.model.shift_spec import ShiftSpec
from tsam_dali.model.shift_triton import shift_channels_last, takes

sizes = [(2, 9, 8, 64, 4, 4), (1, 5, 4, 37, 3, 5), (1, 4, 2, 16, 2, 3), (1, 3, 3, 150, 8, 1), (1, 2, 2, 4, 8, 4)]
dtypes = [torch.float32, torch.bfloat16, torch.float16]
count = 0
for size, dtype, edge, causal in itertools.product(sizes, dtypes, ("keep", "zero"), (False, True)):
    clips, segments, video_segments, channels, f_div, depth = size
    x = torch.randn(clips * segments, channels, 3, 7, generator=torch.manual_seed(count)).to(dtype)
    x = x.contiguous(memory_format=torch.channels_last)
    assert takes(x) and not takes(x.contiguous()) and not takes(x.double())
    spec = ShiftSpec(segments, video_segments, f_div, depth, edge, causal)
    for by_slices, transposed in ((shift_by_slices, False), (transposed_by_slices, True)):
        found = shift_channels_last(x, spec, transposed=transposed)
        assert found.dtype == dtype and found.is_contiguous(memory_format=torch.channels_last)
        # The sums of bf16 are exact but for their rounding: a GPU rounds to the nearest, the interpreter cuts off.
        rounded = 2**-7 if dtype == torch.bfloat16 and transposed else 0
        torch.testing.assert_close(found, by_slices(x, spec), rtol=rounded, atol=0)
        count += 1
print(count, "equal")
"""


def test_its_numbers_are_those_of_the_slices():
    environment = os.environ | {"TRITON_INTERPRET": "1"}  # it must be set before Triton sees the kernel
    done = subprocess.run(
        [sys.executable, "-c", COMPARE], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "120 equal\n"


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("dtype", ["fp16", "bf16", "fp32"])
def test_it_compiles_for_gpus(dtype, transposed, tmp_path, monkeypatch):
    """For compute capability 8.0, without a GPU."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    from triton.backends.compiler import GPUTarget

    from tsam_dali.model.shift_triton import CHANNELS, PIXELS, shift_kernel

    constants = {"KEEP": True, "CAUSAL": False, "TRANSPOSED": transposed, "PIXELS": PIXELS, "CHANNELS": CHANNELS}
    numbers = ("channels", "pixels", "segments", "video_segments", "group", "moved_channels")
    signature = {"x_ptr": f"*{dtype}", "out_ptr": f"*{dtype}"} | dict.fromkeys(numbers, "i32")
    source = triton.compiler.ASTSource(
        shift_kernel, signature | dict.fromkeys(constants, "constexpr"), constexprs=constants
    )
    compiled = triton.compile(source, target=GPUTarget("cuda", 80, 32))
    assert "ld.global" in compiled.asm["ptx"]
    assert compiled.asm["cubin"]


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("edge", ["keep", "zero"])
def test_on_a_gpu(dtype, edge):
    """Forward and backward through the operator, in both layouts, against the CPU."""
    for layout in (torch.channels_last, torch.contiguous_format):
        x = torch.randn(18, 64, 14, 14, generator=torch.manual_seed(0)).to(dtype).contiguous(memory_format=layout)
        found = []
        for device in ("cpu", "cuda"):
            leaf = x.to(device).requires_grad_()
            shifted = temporal_shift(leaf, ShiftSpec(9, 8, 4, 4, edge))
            shifted.backward(x.to(device))
            found.append((shifted.detach().cpu(), leaf.grad.cpu()))
        assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
