"""The Triton kernel: its numbers in Triton's interpreter equal the portable shift's, and it compiles for GPUs."""

import os
import re
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


LAYERS = [(64, 8, 1), (256, 4, 4), (256, 8, 4), (512, 4, 4), (2048, 8, 3)]  # channels, f_div, depth
WIDE = re.compile(r"(?:ld|st)\.global\S*\.v4\.b32")  # 16 bytes of a thread


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("dtype", ["fp16", "bf16", "fp32"])
@pytest.mark.parametrize(("channels", "f_div", "depth"), LAYERS)
def test_it_compiles_for_gpus(channels, f_div, depth, dtype, transposed, tmp_path, monkeypatch):
    """For compute capability 9.0, without a GPU: no divisions, and wide accesses where eight channels move together."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    from triton.backends.compiler import GPUTarget

    from tsam_dali.model.shift_triton import shift_kernel, tile

    spec = ShiftSpec(17, 16, f_div, depth, "keep")
    constants = tile(channels, spec) | {"TRANSPOSED": transposed}
    signature = {"x_ptr": f"*{dtype}", "out_ptr": f"*{dtype}", "channels": "i32", "pixels": "i32"}
    multiples = {(i,): [["tt.divisibility", 16]] for i in range(3)}  # as the kernel is started, but for odd sizes
    source = triton.compiler.ASTSource(
        shift_kernel, signature | dict.fromkeys(constants, "constexpr"), constexprs=constants, attrs=multiples
    )
    compiled = triton.compile(source, target=GPUTarget("cuda", 90, 32))
    assert compiled.asm["cubin"]
    code = compiled.asm["ptx"]
    assert not re.search(r"\b(div|rem)\.", code)
    accesses = re.findall(r"(?:ld|st)\.global\S*", code)
    if spec.group(channels) % 16 == 0:
        assert accesses
        assert [access for access in accesses if not WIDE.fullmatch(access)] == []


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("edge", ["keep", "zero"])
def test_on_a_gpu(dtype, edge):
    """Forward and backward through the operator, in both layouts, against the CPU."""
    for layout in (torch.channels_last, torch.contiguous_format):
        x = torch.randn(18, 64, 14, 14, generator=torch.manual_seed(0)).to(dtype).contiguous(memory_format=layout)
        found = []
        for device in ("cpu", "cuda"):
            leaf = x.detach().to(device).requires_grad_()
            shifted = temporal_shift(leaf, ShiftSpec(9, 8, 4, 4, edge))
            shifted.backward(x.to(device))
            found.append((shifted.detach().cpu(), leaf.grad.cpu()))
        assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
