"""Whether frames of another decoder are those of the CPU's, picture by picture."""

from collections.abc import Mapping, Sequence

import numpy as np

MOST_LEVELS, MOST_CHROMA = 2.0, 1.0  # mean difference of a picture, of 255 levels
STILL = 0.25
"""Neighbours on the CPU that differ by less show the same; rounding decides which of them a frame is nearer to."""
CHROMA = {"Cb": (-0.168736, -0.331264, 0.5), "Cr": (0.5, -0.418688, -0.081312)}
"""Weights of red, green and blue (ITU-R BT.601)."""


def neighbours(frames: Sequence[int], count: int) -> list[int]:
    """The numbers of the frames that `what_differs` needs of a clip of `count` frames."""
    return sorted({near for frame in frames for near in (frame - 1, frame, frame + 1) if 0 <= near < count})


def what_differs(found: np.ndarray, frames: Sequence[int], reference: Mapping[int, np.ndarray]) -> str:
    """What is wrong with the frames of a clip, in words; "" if nothing is.

    Args:
        found: what the other decoder gave, uint8 (S, H, W, 3).
        frames: the wanted numbers, S of them.
        reference: the CPU's frames with the numbers `neighbours`, each uint8 (H, W, 3).
    """
    expected = (len(frames), *reference[frames[0]].shape)
    if found.shape != expected:
        return f"{_size(found.shape)} in place of {_size(expected)}"
    for picture, number in zip(found, frames, strict=True):
        right = reference[number]
        distance = _distance(picture, right)
        for other in {number - 1, number + 1} & reference.keys():
            nearer = _distance(picture, reference[other]) < distance
            if nearer and _distance(reference[other], right) > STILL:
                return f"frame {number} is nearer to the CPU's frame {other}"
        error = _chroma_pixels(picture) - _chroma_pixels(right)
        for name, weights in CHROMA.items():
            chroma = float(np.abs(error @ np.array(weights, np.float32)).mean())
            if chroma > MOST_CHROMA:
                return f"frame {number}: {name} differs by {chroma:.1f} levels"
        if distance > MOST_LEVELS:
            return f"frame {number} differs by {distance:.1f} levels"
    return ""


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    """Mean difference in levels."""
    return float(np.abs(one.astype(np.int16) - other).mean())


def _chroma_pixels(picture: np.ndarray) -> np.ndarray:
    """The means of 2 x 2 pixels, float32: of these 4:2:0 has one Cb and Cr, which decoders spread in several ways."""
    height, width = (side // 2 * 2 for side in picture.shape[:2])
    total = np.zeros((height // 2, width // 2, 3), np.float32)
    for y in (0, 1):
        for x in (0, 1):
            total += picture[y:height:2, x:width:2]
    return total / 4


def _size(shape: Sequence[int]) -> str:
    if len(shape) != 4:
        return f"an array of shape {tuple(shape)}"
    return f"{shape[0]} frames of {shape[2]} x {shape[1]} pixels"
