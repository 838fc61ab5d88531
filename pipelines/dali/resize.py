"""The end of the way of frames without a GPU: resize, mirror, scale. On a GPU the DALI graph does this.

DALI's resize takes several times as long on a CPU as torch's, which works on bytes and equals Pillow's.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import interpolate


def resized(frames: Tensor, size: int) -> Tensor:
    """Frames uint8 (S, H, W, 3) -> uint8 (S, 3, size, size): bilinear with antialias, within a level of Pillow's."""
    return interpolate(frames.permute(0, 3, 1, 2), (size, size), mode="bilinear", antialias=True)


def to_video(clips: Sequence[Tensor], flips: Iterable[bool], size: int) -> Tensor:
    """The frames of B clips, each uint8 (S, H, W, 3) of its own size, -> float32 (B, S, 3, size, size), 0..1.

    Args:
        clips: as many frames of each.
        flips: whether left and right of a clip change places.
        size: of both sides of the result, in pixels.
    """
    # numba takes a while to import
    from pipelines.dali.loops import fill_clip

    video = torch.empty(len(clips), len(clips[0]), 3, size, size)
    for target, frames, flip in zip(video, clips, flips, strict=True):
        small = resized(frames, size).permute(0, 2, 3, 1).contiguous()
        fill_clip(small.numpy(), bool(flip), target.numpy())
    return video
