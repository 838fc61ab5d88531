"""The shift of a channels-last activation on a CPU, in one pass over memory and in all threads.

In memory such an activation is (B, T, H*W, C), and a shift gives each frame's groups of channels from one frame or
another; its derivative from none, one, or the sum of two. numba compiles a loop that does so with blocks of channels,
vectors of the CPU, in half a second in each process. Slices pass over the memory once to copy it, then again for every
group, and twice more where they add; small activations are left to them.

Letters as in `tsam_dali.shift`.
"""

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache, lru_cache, partial
from itertools import pairwise
from math import gcd
from typing import Any

import numpy as np
import torch
from torch import Tensor

DTYPES = (torch.float32, torch.bfloat16)
SMALL = 4 * 2**20
"""Bytes; a smaller activation is not worth it."""
BLOCK = 32
"""The most bytes of a block."""
PART = 2 * 2**20
"""Bytes that a thread takes at a time: one that begins late takes fewer."""
PIXELS = 64
"""Sums follow the copies after so many pixels, while these are in the CPU's cache."""
NONE = 2**62
"""In place of a source, which is counted from the block itself: there is none."""


def takes(x: Tensor, segments: int, video_segments: int, f_div: int, depth: int, *_options) -> bool:
    """Whether the loop can shift x, and is worth it."""
    moves = x.shape[1] // f_div // depth > 0
    channels_last = x.is_contiguous(memory_format=torch.channels_last)
    return moves and channels_last and x.dtype in DTYPES and x.nbytes >= SMALL


def shift_by_blocks(
    x: Tensor,
    segments: int,
    video_segments: int,
    f_div: int,
    depth: int,
    edge: str,
    causal: bool,
    transposed: bool = False,
) -> Tensor:
    """Shift x (B*T, C, H, W), for which `takes` is true; or a gradient back with `transposed`.

    The other arguments are those of `tsam_dali.shift.TemporalShift`. The result is channels-last, too.
    """
    pictures, channels, height, width = x.shape
    row, group = channels * x.itemsize, channels // f_div // depth * x.itemsize  # in bytes
    block = gcd(row, group, BLOCK)
    frames = _sources(segments, video_segments, row // block, group // block, depth, edge, causal, transposed)
    sources = np.where(frames == NONE, NONE, frames * (height * width * row))
    out = torch.empty_like(x)
    shift = partial(_loop(x.dtype, block), _bytes(x), _bytes(out), np.zeros(block, np.uint8), sources, height * width)

    parts = x.nbytes // PART + 1
    portions = deque(pairwise(pictures * height * width * i // parts for i in range(parts + 1)))

    def work() -> None:
        while portions:
            with suppress(IndexError):  # another thread took the last one
                shift(*portions.popleft())

    threads = torch.get_num_threads()
    helpers = [_helpers(os.getpid(), threads).submit(work) for _ in range(1, min(threads, parts))]
    work()
    for helper in helpers:
        helper.result()
    return out


@lru_cache(maxsize=1)
def _helpers(_process: int, threads: int) -> ThreadPoolExecutor:
    """The threads beside the caller's. A forked process has none of its parent's."""
    return ThreadPoolExecutor(threads - 1, thread_name_prefix="shift")


def _bytes(x: Tensor) -> np.ndarray:
    return x.detach().permute(0, 2, 3, 1).flatten().view(torch.uint8).numpy()


@lru_cache(maxsize=256)
def _sources(
    segments: int, video_segments: int, blocks: int, group: int, depth: int, edge: str, causal: bool, transposed: bool
) -> np.ndarray:
    """(2, T, blocks of a pixel): the frames, counted from its own, whose sum a frame gets as the block.

    group: how many blocks a group of channels has.
    """
    sources = np.zeros((2, segments, blocks), np.int64)
    sources[1] = NONE
    groups = sources[:, :, : 2 * depth * group].reshape(2, segments, depth, 2, group)  # a view
    for d in range(1, depth + 1):
        for kind, step in ((1, -d),) if causal else ((0, d), (1, -d)):
            for t in range(video_segments):
                partnered, used = 0 <= t + step < video_segments, 0 <= t - step < video_segments
                found = [0] if edge == "keep" and not partnered else []
                if transposed:
                    found += [-step] if used else []
                else:
                    found += [step] if partnered else []
                groups[:, t, d - 1, kind] = np.array([*found, NONE, NONE])[:2, None]
    return sources


@cache
def _loop(dtype: torch.dtype, block: int) -> Callable[..., None]:
    """The loop for blocks of so many bytes. It takes x, out and a block of zeros as bytes, the sources (2, T, blocks of
    a pixel) as bytes before or after a block, H*W, and of all pictures' pixels the first and the one after the last.
    """
    from numba import int64, njit, types, uint64  # takes a while to import, and many processes never shift so much

    copy, add = (_instruction(dtype, block, operands) for operands in (1, 2))
    memory = types.Array(types.uint8, 1, "C")
    signature = types.void(memory, memory, memory, types.Array(int64, 3, "C"), int64, int64, int64)

    @njit(signature, nogil=True, error_model="numpy")
    def shift(x, out, zeros, sources, pixels, first, end):
        segments, blocks = sources.shape[1:]
        while first < end:
            picture = first // pixels
            stop = min(end, (picture + 1) * pixels, first + PIXELS)
            one, other = sources[0, picture % segments], sources[1, picture % segments]
            for pixel in range(first, stop):
                for i in range(blocks):
                    here, source = (pixel * blocks + i) * block, one[uint64(i)]  # signed, it might count from the end
                    if source == NONE:
                        copy(out, here, zeros, 0)
                    else:
                        copy(out, here, x, here + source)
            for i in range(blocks):
                if other[i] != NONE:
                    for pixel in range(first, stop):
                        here = (pixel * blocks + i) * block
                        add(out, here, out, here, x, here + other[i])
            first = stop

    return shift


def _instruction(dtype: torch.dtype, block: int, operands: int) -> Any:
    """What numba makes of `f(out, place, x, place)` and `f(out, place, x, place, x, place)`, arrays of bytes and places
    of blocks in them: the block of x, or the sum of two, goes to that of out. As one vector, since numba cannot know
    that arrays do not overlap, and would take one number after the other.
    """
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic

    lanes = block // dtype.itemsize
    vector = ir.VectorType(ir.IntType(16) if dtype == torch.bfloat16 else ir.FloatType(), lanes)

    def generate(context, builder, signature, arguments):
        def pointer(i: int):
            memory = context.make_array(signature.args[i])(context, builder, arguments[i]).data
            return builder.bitcast(builder.gep(memory, [arguments[i + 1]]), vector.as_pointer())

        values = [builder.load(pointer(2 * i + 2), align=1) for i in range(operands)]
        sums = values[0] if operands == 1 else _sum(builder, values)
        builder.store(sums, pointer(0), align=1)
        return context.get_dummy_value()

    if operands == 1:
        return intrinsic(lambda _typing, out, to, x, at: (types.void(out, to, x, at), generate))
    return intrinsic(lambda _typing, out, to, x, at, y, by: (types.void(out, to, x, at, y, by), generate))


def _sum(builder: Any, values: Sequence[Any]) -> Any:
    """The sum of two vectors; bf16, known as the upper half of a float32, is rounded to nearest, ties to even."""
    from llvmlite import ir

    vector = values[0].type
    if vector.element == ir.FloatType():
        return builder.fadd(*values)
    wide, floats = (ir.VectorType(kind, vector.count) for kind in (ir.IntType(32), ir.FloatType()))
    half, one, almost = (ir.Constant(wide, [number] * vector.count) for number in (16, 1, 0x7FFF))
    exact = [builder.bitcast(builder.shl(builder.zext(value, wide), half), floats) for value in values]
    bits = builder.bitcast(builder.fadd(*exact), wide)
    odd = builder.and_(builder.lshr(bits, half), one)
    return builder.trunc(builder.lshr(builder.add(bits, builder.add(odd, almost)), half), vector)
