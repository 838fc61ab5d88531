"""The shift of a channels-last activation on a CPU, in one pass over memory and in all threads.

In memory such an activation is (B, T, H*W, C), and a shift gives each frame's groups of channels from one frame or
another; its derivative from none, one, or the sum of two. numba compiles a loop that does so with blocks of channels,
vectors of the CPU, in half a second in each process; it runs in PyTorch's own threads. Slices pass over the memory once
to copy it, then again for every group, and twice more where they add; small activations are left to them.

Letters as in `tsam_dali.model.shift`.
"""

import ctypes
from collections.abc import Sequence
from functools import cache, lru_cache
from math import gcd
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from tsam_dali.model.shift_spec import ShiftSpec

DTYPES = (torch.float32, torch.bfloat16)
SMALL = 4 * 2**20
"""Bytes; a smaller activation is not worth it."""
BLOCK, TILE = 64, 64
"""The most bytes of a block; and pixels of a clip's frames that are shifted before the next, from the CPU's cache."""
NONE = 2**62
"""In place of a source, which is counted from the block itself: there is none."""


def takes(x: Tensor, spec: ShiftSpec) -> bool:
    """Whether the loop can shift x, and is worth it."""
    moves = spec.group(x.shape[1]) > 0
    channels_last = x.is_contiguous(memory_format=torch.channels_last)
    worth = moves and channels_last and x.dtype in DTYPES and x.nbytes >= SMALL
    return worth and _openmp() is not None


def shift_by_blocks(x: Tensor, spec: ShiftSpec, transposed: bool = False) -> Tensor:
    """Shift x (B*T, C, H, W), for which `takes` is true; or a gradient back with `transposed`.

    The result is channels-last, too.
    """
    images, channels, height, width = x.shape
    row, group = channels * x.itemsize, spec.group(channels) * x.itemsize  # in bytes
    block = gcd(row, group, BLOCK)
    frames = list_sources(spec, row // block, group // block, transposed)
    sources = np.where(frames == NONE, NONE, frames * (height * width * row))
    zeros, out = np.zeros(block, np.uint8), torch.empty_like(x)
    addresses = (x.data_ptr(), out.data_ptr(), zeros.ctypes.data)
    arguments = np.concatenate(
        [[*addresses, images // spec.segments, height * width, *frames.shape[1:]], sources.ravel()]
    )
    openmp = _openmp()
    assert openmp is not None  # or `takes` is false
    openmp.parallel(_loop(x.dtype, block).address, arguments.ctypes.data, torch.get_num_threads(), 0)
    return out


@lru_cache(maxsize=256)
def list_sources(spec: ShiftSpec, blocks: int, group: int, transposed: bool) -> np.ndarray:
    """(2, T, blocks of a pixel): the two frames, counted from its own, whose sum a frame gets as the block; or NONE.

    blocks, group: how many blocks a pixel has, and how many a group of channels.
    """
    sources = np.zeros((2, spec.segments, blocks), np.int64)
    sources[1] = NONE
    groups = sources[:, :, : 2 * spec.depth * group].reshape(2, spec.segments, spec.depth, 2, group)  # a view
    for d in range(1, spec.depth + 1):
        for kind, step in ((1, -d),) if spec.causal else ((0, d), (1, -d)):
            for t in range(spec.video_segments):
                partnered, used = 0 <= t + step < spec.video_segments, 0 <= t - step < spec.video_segments
                found = [0] if spec.edge == "keep" and not partnered else []
                if transposed:
                    found += [-step] if used else []
                else:
                    found += [step] if partnered else []
                groups[:, t, d - 1, kind] = np.array([*found, NONE, NONE])[:2, None]
    return sources


class _OpenMP(NamedTuple):
    """Functions of the OpenMP library that PyTorch runs in."""

    parallel: Any  # call a C function with an argument in so many threads (and flags)
    thread: Any  # this thread's number among them
    threads: Any


@cache
def _openmp() -> _OpenMP | None:
    """None: PyTorch was built without, or with one that lacks GNU's entry point."""
    try:
        pytorch = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))  # already loaded
        functions = _OpenMP(pytorch.GOMP_parallel, pytorch.omp_get_thread_num, pytorch.omp_get_num_threads)
    except (OSError, AttributeError):
        return None
    functions.parallel.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)
    functions.parallel.restype = None
    for function in functions[1:]:
        function.argtypes, function.restype = (), ctypes.c_int
    return functions


@cache
def _loop(dtype: torch.dtype, block: int) -> Any:
    """The loop for blocks of so many bytes, as a C function that each thread calls.

    Its argument is the address of 64-bit numbers: the addresses of x, of the result and of a block of zeros; B, H*W, T,
    blocks of a pixel; and the sources (2, T, blocks of a pixel), as bytes before or after a block.
    """
    from numba import carray, cfunc, types  # takes a while to import, and many processes never shift so much

    copy, add = (_instruction(dtype, block, operands) for operands in (1, 2))
    openmp = _openmp()
    assert openmp is not None
    thread, threads = openmp.thread, openmp.threads

    @cfunc(types.void(types.voidptr))
    def shift(arguments):
        x, out, zeros, clips, pixels, segments, blocks = carray(arguments, 7, np.int64)
        sources = carray(arguments, 7 + 2 * segments * blocks, np.int64)[7:].reshape((2, segments, blocks))
        tile = max(1, min(TILE, clips * pixels // (4 * threads())))
        tiles = (pixels + tile - 1) // tile
        for n in range(clips * tiles * thread() // threads(), clips * tiles * (thread() + 1) // threads()):
            for t in range(segments):
                frame = (n // tiles * segments + t) * pixels
                first, end = frame + n % tiles * tile, frame + min(pixels, (n % tiles + 1) * tile)
                for pixel in range(first, end):
                    for i in range(blocks):
                        here = (pixel * blocks + i) * block
                        if sources[0, t, i] == NONE:
                            copy(out + here, zeros)
                        else:
                            copy(out + here, x + here + sources[0, t, i])
                for i in range(blocks):
                    if sources[1, t, i] != NONE:
                        for pixel in range(first, end):
                            here = (pixel * blocks + i) * block
                            add(out + here, out + here, x + here + sources[1, t, i])

    return shift


def _instruction(dtype: torch.dtype, block: int, operands: int) -> Any:
    """What numba makes of `f(to, a)` and `f(to, a, b)`, addresses of blocks: `to` becomes a, or the sum of a and b.

    As one vector: numba cannot know that arrays do not overlap, and would take one number after the other.
    """
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic

    vector = ir.VectorType(ir.IntType(16) if dtype == torch.bfloat16 else ir.FloatType(), block // dtype.itemsize)

    def generate(context, builder, _signature, addresses):
        to, *others = (builder.inttoptr(address, vector.as_pointer()) for address in addresses)
        values = [builder.load(other, align=1) for other in others]
        builder.store(values[0] if operands == 1 else _sum(builder, values), to, align=1)
        return context.get_dummy_value()

    if operands == 1:
        return intrinsic(lambda _typing, to, a: (types.void(types.int64, types.int64), generate))
    return intrinsic(lambda _typing, to, a, b: (types.void(types.int64, types.int64, types.int64), generate))


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
