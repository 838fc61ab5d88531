"""The shift as TSAM and TSM write it: a clone, slices copied into it, and the derivative that autograd makes."""

from torch import Tensor


def clone_shift(x: Tensor, segments: int, video_segments: int, f_div: int, depth: int) -> Tensor:
    """Shift x (B*T, C, H, W) with edges kept; arguments as for `tsam_dali.model.shift.temporal_shift`."""
    clips = x.unflatten(0, (-1, segments))  # (B*T, C, H, W) -> (B, T, C, H, W)
    shifted = clips.clone()
    g = x.shape[1] // f_div // depth
    for d in range(1, min(depth, video_segments - 1) + 1):
        first, second = slice(2 * (d - 1) * g, (2 * d - 1) * g), slice((2 * d - 1) * g, 2 * d * g)
        shifted[:, : video_segments - d, first] = clips[:, d:video_segments, first]
        shifted[:, d:video_segments, second] = clips[:, : video_segments - d, second]
    return shifted.flatten(0, 1)
