"""The shift of a channels-last activation on a GPU, as a Triton kernel: each value is read and written once.

Its numbers are tested on the CPU with Triton's interpreter, and it compiles for NVIDIA's GPUs; it has not run on one.
Letters as in `tsam_dali.model.shift`; g is the size of a group of channels.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from tsam_dali.model.shift_spec import ShiftSpec

DTYPES = (torch.float16, torch.bfloat16, torch.float32)
PIXELS, MOST_CHANNELS = 64, 128
"""A program's tile: so many pixels of a frame, at most so many of their channels. Not tuned."""


def takes(x: Tensor) -> bool:
    """Whether the kernel can shift x."""
    return x.dtype in DTYPES and x.is_contiguous(memory_format=torch.channels_last)


def shift_channels_last(x: Tensor, spec: ShiftSpec, transposed: bool = False) -> Tensor:
    """Shift x (B*T, C, H, W), for which `takes` is true; or a gradient back with `transposed`.

    The result is channels-last, too.
    """
    out = torch.empty_like(x)
    images, channels, height, width = x.shape
    constants = tile(channels, spec) | {"TRANSPOSED": transposed}
    grid = (images, triton.cdiv(height * width, PIXELS), triton.cdiv(channels, constants["CHANNELS"]))
    with torch.cuda.device_of(x):  # Triton starts kernels on the current GPU, which may be another one
        shift_kernel[grid](x, out, channels, height * width, **constants)
    return out


def tile(channels: int, spec: ShiftSpec) -> dict[str, int]:
    """What the kernel is compiled for. With constants in place of numbers it divides by none, and sees that
    neighbouring channels move together: then it loads and stores 16 bytes at a time.
    """
    group = spec.group(channels)
    return {
        "SEGMENTS": spec.segments,
        "VIDEO_SEGMENTS": spec.video_segments,
        "GROUP": max(group, 1),  # the kernel divides by it, even where nothing moves
        "MOVED_CHANNELS": 2 * spec.depth * group,
        "KEEP": spec.edge == "keep",
        "CAUSAL": spec.causal,
        "PIXELS": PIXELS,
        "CHANNELS": min(MOST_CHANNELS, triton.next_power_of_2(channels)),
    }


@triton.jit
def shift_kernel(
    x_ptr,
    out_ptr,
    channels,
    pixels,
    SEGMENTS: tl.constexpr,
    VIDEO_SEGMENTS: tl.constexpr,
    GROUP: tl.constexpr,
    MOVED_CHANNELS: tl.constexpr,
    KEEP: tl.constexpr,
    CAUSAL: tl.constexpr,
    PIXELS: tl.constexpr,
    CHANNELS: tl.constexpr,
    TRANSPOSED: tl.constexpr,
):
    """A tile of one frame; memory holds (B, T, H*W, C)."""
    image = tl.program_id(0).to(tl.int64)  # offsets may be larger than 2^31
    pixel = tl.program_id(1) * PIXELS + tl.arange(0, PIXELS)
    channel = tl.program_id(2) * CHANNELS + tl.arange(0, CHANNELS)
    inside = (pixel < pixels)[:, None] & (channel < channels)[None, :]
    here = (image * pixels + pixel)[:, None] * channels + channel[None, :]

    t = (image % SEGMENTS).to(tl.int32)
    kind = channel // GROUP  # 0, 2, ...: from later frames; 1, 3, ...: from earlier ones
    distance = kind // 2 + 1
    step = tl.where(kind % 2 == 0, distance, -distance)
    moves = (channel < MOVED_CHANNELS) & (t < VIDEO_SEGMENTS)
    if CAUSAL:
        moves = moves & (kind % 2 == 1)
    partnered = (t + step >= 0) & (t + step < VIDEO_SEGMENTS)  # this frame's values come from frame t + step

    own = (moves & partnered) == 0 if KEEP else moves == 0  # (Triton's interpreter has no `~` for truth values)
    if TRANSPOSED:
        step = -step  # this frame's values were used by frame t - step
    used = (moves & (t + step >= 0) & (t + step < VIDEO_SEGMENTS)) != 0
    there = here + (step.to(tl.int64) * pixels * channels)[None, :]
    value = tl.load(x_ptr + here, mask=inside & own[None, :], other=0.0).to(tl.float32)
    value += tl.load(x_ptr + there, mask=inside & used[None, :], other=0.0).to(tl.float32)
    tl.store(out_ptr + here, value.to(out_ptr.dtype.element_ty), mask=inside)
