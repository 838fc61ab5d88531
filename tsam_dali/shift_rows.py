"""The shift of a channels-last activation on a CPU, in one pass over memory and in all threads.

In memory such an activation is (B, T, H*W, C / g, g): rows of g channels, g being the size of a group. The shift moves
whole rows, and a row of a gradient is the sum of none, one or two rows: bags of rows, summed by `embedding_bag`, which
keeps a row in registers. Slices pass over the activation once to copy it and then again for every group.

Letters as in `tsam_dali.shift`.
"""

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
ROW_BYTES = 32
"""Rows shorter than this cost more to look up than slices cost to copy."""


def takes(x: Tensor, segments: int, video_segments: int, f_div: int, depth: int, *_options) -> bool:
    """Whether rows are the faster way to shift x."""
    group = x.shape[1] // f_div // depth
    whole = group > 0 and x.shape[1] % group == 0 and x.is_contiguous(memory_format=torch.channels_last)
    return whole and x.dtype in DTYPES and group * x.itemsize >= ROW_BYTES


def shift_channels_last(
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
    group = channels // f_div // depth
    bags = _bags(
        *(pictures // segments, segments, video_segments, height * width),
        *(channels // group, depth, edge, causal, transposed),
    )
    # Detached, or embedding_bag also makes what only its own derivative would need.
    rows = x.detach().permute(0, 2, 3, 1).reshape(-1, group)  # (B*T, C, H, W) -> (B*T*H*W * C / g, g), a view
    return embedding_bag(bags[0], rows, bags[1], mode="sum").as_strided(x.shape, x.stride())


@lru_cache(maxsize=64)
def _bags(
    clips: int,
    segments: int,
    video_segments: int,
    pixels: int,
    groups: int,
    depth: int,
    edge: str,
    causal: bool,
    transposed: bool,
) -> tuple[Tensor, Tensor]:
    """The rows of all bags, and where each bag begins. Kept: a network asks for the same few in every step."""
    used = _used(segments, video_segments, groups, depth, edge, causal)
    if transposed:
        used = used.transpose(0, 1)
    pixel = torch.arange(pixels).unsqueeze(1)
    frames = []
    for t in range(segments):
        group, source = used[t].T.nonzero(as_tuple=True)
        frames.append(((source * pixels + pixel) * groups + group).flatten())  # (H*W, rows of a pixel) -> one list
    first = torch.arange(clips).unsqueeze(1) * (segments * pixels * groups)
    rows = (first + torch.cat(frames)).flatten()  # (B, rows of a clip) -> one list
    sizes = (
        used.sum(1).unsqueeze(1).expand(clips, segments, pixels, groups).flatten()
    )  # (T, C / g) -> (B*T*H*W * C / g)
    return rows.int(), (sizes.cumsum(0) - sizes).int()


def _used(segments: int, video_segments: int, groups: int, depth: int, edge: str, causal: bool) -> Tensor:
    """(T, T, C / g): whether a frame's group comes from that group of another frame, or of its own."""
    used = torch.eye(segments, dtype=torch.bool).unsqueeze(2).repeat(1, 1, groups)
    for d in range(1, depth + 1):
        for group, step in ((2 * d - 1, -d),) if causal else ((2 * d - 2, d), (2 * d - 1, -d)):
            for t in range(video_segments):
                partnered = 0 <= t + step < video_segments
                used[t, t, group] = edge == "keep" and not partnered
                if partnered:
                    used[t, t + step, group] = True
    return used
