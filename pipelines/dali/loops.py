"""The loops over pixels without a GPU: numba compiles each in a second and keeps it on the disk."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import boolean, float32, int64, njit, uint8, void

from pipelines.sampling.plan import BRIGHTNESS, CONTRAST, GREY, SATURATION

TILE = 2048  # pixels
ZERO, ONE, LARGEST, RED, GREEN, BLUE = (np.float32(number) for number in (0, 1, 255, *GREY))


def _compiled(*types: Any) -> Callable[[Any], Any]:
    """Compiles a function of these arguments, which returns nothing."""
    fast = {"contract", "reassoc", "nsz"}  # with the error model: else no vector instructions

    def compiled(function: Any) -> Any:
        try:
            return njit(void(*types), cache=True, fastmath=fast, error_model="numpy")(function)
        except RuntimeError:  # neither this folder nor the user's cache can be written
            return njit(void(*types), fastmath=fast, error_model="numpy")(function)

    return compiled


@_compiled(uint8[:, :, :, ::1], boolean, float32[:, :, :, ::1])
def fill_clip(frames, mirrored, clip):
    """Write frames, uint8 (S, H, W, 3), into a clip, float32 (S, 3, H, W), 0..1, maybe with left and right changed.

    Row by row and color by color, because these are loops that become vector instructions; indices without a sign, too.
    """
    width = frames.shape[2]
    turned = np.empty(width, np.float32)
    for s in range(len(frames)):
        for y in range(frames.shape[1]):
            row = frames[s, y].reshape(3 * width)
            for color in range(3):
                target = clip[s, color, y]
                units = turned if mirrored else target
                for x in range(width):
                    units[x] = np.float32(row[3 * x + color]) / LARGEST
                if mirrored:
                    for x in range(width):
                        target[x] = turned[np.uint64(width - 1) - np.uint64(x)]


@njit(inline="always")
def _cut(x):
    return min(max(x, ZERO), ONE)


@njit(inline="always")
def _in_cone(r, g, b):
    """Value, chroma and hue, -1 to 5: HSV but for the scale of the hue."""
    value = max(r, max(g, b))
    chroma = value - min(r, min(g, b))
    scale = ONE / (chroma if chroma > ZERO else ONE)
    if value == r:
        hue = (g - b) * scale
    elif value == g:
        hue = (b - r) * scale + np.float32(2)
    else:
        hue = (r - g) * scale + np.float32(4)
    return value, chroma, hue


@njit(inline="always")
def _in_plane(value, chroma, place):
    """One of red, green and blue; `place` is the hue plus 5, 3 or 1."""
    place -= np.float32(6) * np.floor(place * np.float32(1 / 6))
    return value - chroma * _cut(min(place, np.float32(4) - place))


@_compiled(float32[:, :, ::1], float32[::1], int64[::1], boolean)
def change_clip(frames, factors, order, grey):
    """Change the colors of a clip in place.

    Contrast needs the mean of what went before it: first all changes before it are made and added up, then the others.
    A piece of a frame stays in the CPU's first cache while it goes through several changes.

    Args:
        frames: float32 (S, 3, H*W), 0..1.
        factors: of brightness, contrast and saturation; a turn of the hue in sixths of a circle; float32 (4,).
        order: of these four, int64 (4,).
        grey: whether the clip loses its color in the end.
    """
    pixels = frames.shape[2]
    place = 0
    while order[place] != CONTRAST:
        place += 1
    for s in range(len(frames)):
        mean = ZERO
        for part in range(2):
            total = 0.0
            for start in range(0, pixels, TILE):
                r, g, b = frames[s, 0, start:], frames[s, 1, start:], frames[s, 2, start:]
                count = min(TILE, pixels - start)
                for kind in order[place:] if part else order[:place]:
                    f, rest = factors[kind], ONE - factors[kind]
                    if kind in (BRIGHTNESS, CONTRAST):
                        more = rest * mean if kind == CONTRAST else ZERO
                        for i in range(count):
                            r[i], g[i], b[i] = _cut(r[i] * f + more), _cut(g[i] * f + more), _cut(b[i] * f + more)
                    elif kind == SATURATION:
                        for i in range(count):
                            more = rest * (RED * r[i] + GREEN * g[i] + BLUE * b[i])
                            r[i], g[i], b[i] = _cut(r[i] * f + more), _cut(g[i] * f + more), _cut(b[i] * f + more)
                    else:
                        for i in range(count):
                            value, chroma, hue = _in_cone(r[i], g[i], b[i])
                            r[i] = _in_plane(value, chroma, hue + f + np.float32(5))
                            g[i] = _in_plane(value, chroma, hue + f + np.float32(3))
                            b[i] = _in_plane(value, chroma, hue + f + ONE)
                if part == 0:
                    tile = ZERO
                    for i in range(count):
                        tile += RED * r[i] + GREEN * g[i] + BLUE * b[i]
                    total += tile
                elif grey:
                    for i in range(count):
                        r[i] = g[i] = b[i] = RED * r[i] + GREEN * g[i] + BLUE * b[i]
            mean = float32(total / pixels)
