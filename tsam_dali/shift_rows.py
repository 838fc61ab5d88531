"""The transposed shift of a channels-last gradient on a CPU, in one pass over memory and in all threads.

In memory such a gradient is (B, T, H*W, C / g, g): rows of g channels, g being the size of a group. The shift takes a
row from one frame, so its derivative is the sum of none, one or two rows: bags of rows, summed by `embedding_bag`,
which keeps a row in registers. Slices pass over the gradient once to copy it and then again for every group, and
twice more where they add.

Letters as in `tsam_dali.shift`.
"""

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
ROW_BYTES = 32
"""Rows shorter than this cost more to look up than slices cost to copy."""


def takes(grad: Tensor, segments: int, video_segments: int, f_div: int, depth: int, *_options) -> bool:
    """Whether rows are the faster way to shift the gradient back."""
    group = grad.shape[1] // f_div // depth
    whole = group > 0 and grad.shape[1] % group == 0 and grad.is_contiguous(memory_format=torch.channels_last)
    return whole and grad.dtype in DTYPES and group * grad.itemsize >= ROW_BYTES


def transposed_by_rows(
    grad: Tensor, segments: int, video_segments: int, f_div: int, depth: int, edge: str, causal: bool
) -> Tensor:
    """Shift a gradient (B*T, C, H, W), for which `takes` is true, back to the frames whose values were used.

    The other arguments are those of `tsam_dali.shift.TemporalShift`. The result is channels-last, too.
    """
    pictures, channels, height, width = grad.shape
    group = channels // f_div // depth
    bags = _bags(
        *(pictures // segments, segments, video_segments, height * width), *(channels // group, depth, edge, causal)
    )
    # Detached, or embedding_bag also makes what only its own derivative would need.
    rows = grad.detach().permute(0, 2, 3, 1).reshape(-1, group)  # (B*T, C, H, W) -> (B*T*H*W * C / g, g), a view
    return embedding_bag(bags[0], rows, bags[1], mode="sum").as_strided(grad.shape, grad.stride())


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
) -> tuple[Tensor, Tensor]:
    """The rows of all bags, and where each bag begins. Kept: a network asks for the same few in every step."""
    users = _users(segments, video_segments, groups, depth, edge, causal)
    pixel = torch.arange(pixels).unsqueeze(1)
    frames = []
    for t in range(segments):
        group, user = users[t].T.nonzero(as_tuple=True)
        frames.append(((user * pixels + pixel) * groups + group).flatten())  # (H*W, rows of a pixel) -> one list
    first = torch.arange(clips).unsqueeze(1) * (segments * pixels * groups)
    rows = (first + torch.cat(frames)).flatten()  # (B, rows of a clip) -> one list
    sizes = users.sum(1).unsqueeze(1).expand(clips, segments, pixels, groups).flatten()  # (T, C / g) -> one list
    return rows.int(), (sizes.cumsum(0) - sizes).int()


def _users(segments: int, video_segments: int, groups: int, depth: int, edge: str, causal: bool) -> Tensor:
    """(T, T, C / g): whether a frame's values of that group are used by another frame, or by itself."""
    users = torch.eye(segments, dtype=torch.bool).unsqueeze(2).repeat(1, 1, groups)
    for d in range(1, depth + 1):
        for group, step in ((2 * d - 1, -d),) if causal else ((2 * d - 2, d), (2 * d - 1, -d)):
            for t in range(video_segments):
                partnered = 0 <= t + step < video_segments
                users[t, t, group] = edge == "keep" and not partnered
                if partnered:
                    users[t + step, t, group] = True
    return users
