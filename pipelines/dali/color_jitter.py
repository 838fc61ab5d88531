"""Changes of color, then blur, as TSAM makes them with torchvision: in place, on the batch that the graph gave.

DALI's color_twist turns contrast about mid grey and hue in YIQ, in a fixed order; on the CPU it and the blur are slow.
There a compiled loop makes them, `pipelines.dali.loops`.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pipelines.sampling.plan import BRIGHTNESS, CONTRAST, GREY, HUE, SATURATION

CHANGES, GREYS, ORDER, SIGMA = slice(4), 4, slice(5, 9), 9
"""Where they stand in `pipelines.sampling.plan.Plan.look`."""
TURN = 360 / 6  # degrees; inside, hues go from 0 to 6
UNCHANGED = (1, 1, 1, 0, 0)
BLUR_RADIUS = 4


def change_look(video: Tensor, look: Tensor) -> None:
    """Change colors, each change cut off at 0 and 1, then make grey, then blur.

    Args:
        video: float32 (B, S, 3, H, W), 0..1, contiguous.
        look: one row for each clip, on the CPU, (B, 10); see `pipelines.sampling.plan.Plan.look`.
    """
    changes = change_colors_on_gpu if video.is_cuda else change_colors_on_cpu
    changes(video.flatten(3), look)
    for clip, sigma in zip(video, look[:, SIGMA].tolist(), strict=True):
        if sigma:
            clip.copy_(_blurred(clip, sigma))


def change_colors_on_cpu(frames: Tensor, look: Tensor) -> None:
    """See `change_look`; frames (B, S, 3, H*W). In one thread: the other cores decode meanwhile."""
    # numba takes a while to import, and many processes change no color
    from pipelines.dali.loops import change_clip

    for clip, row in zip(frames.numpy(), look.numpy(), strict=True):
        if np.array_equal(row[: GREYS + 1], UNCHANGED):
            continue
        factors = row[CHANGES].copy()
        factors[HUE] /= TURN
        change_clip(clip, factors, row[ORDER].astype(np.int64), bool(row[GREYS]))


def change_colors_on_gpu(frames: Tensor, look: Tensor) -> None:
    """See `change_look`; frames (B, S, 3, H*W), on any device. One pass for each place in the order, for all clips."""
    factors, order = look[:, CHANGES], look[:, ORDER].long()
    for kinds in order.T:
        factor = factors.gather(1, kinds[:, None])[:, 0]
        for kind in (CONTRAST, SATURATION):
            _mix(frames, torch.where(kinds == kind, factor, 1), kind)
        frames.mul_(_of_clips(torch.where(kinds == BRIGHTNESS, factor, 1), frames)).clamp_(0, 1)
        turned = (kinds == HUE).nonzero().flatten().to(frames.device, non_blocking=True)
        if len(turned):
            turns = _of_clips(factor[kinds == HUE] / TURN, frames)[:, :, 0]
            frames.index_copy_(0, turned, _hue_turned(frames.index_select(0, turned), turns))
    _mix(frames, 1 - look[:, GREYS], SATURATION)


def _mix(frames: Tensor, share: Tensor, kind: int) -> None:
    """So much of each clip and the rest of grey: of each pixel's for saturation, of the frame's mean for contrast."""
    if (share == 1).all():
        return
    grey = torch.tensor([GREY]).to(frames, non_blocking=True) @ frames  # (1, 3) @ (B, S, 3, H*W) -> (B, S, 1, H*W)
    if kind == CONTRAST:
        grey = grey.mean(3, keepdim=True)
    frames.lerp_(grey.expand_as(frames), _of_clips(1 - share, frames)).clamp_(0, 1)


def _of_clips(values: Tensor, frames: Tensor) -> Tensor:
    """(B,) -> (B, 1, 1, 1), on the device of the frames; the host does not wait for it."""
    return values.to(frames, non_blocking=True).view(-1, 1, 1, 1)


def _hue_turned(frames: Tensor, turns: Tensor) -> Tensor:
    """The hue of HSV, turned for each clip by so many sixths of a circle, (B, 1, 1)."""
    red, green, blue = frames.unbind(2)  # (B, S, H*W) each
    value = frames.amax(2)
    chroma = value - frames.amin(2)
    divisor = torch.where(chroma > 0, chroma, 1)
    hue = torch.where(value == green, (blue - red) / divisor + 2, (red - green) / divisor + 4)
    hue = torch.where(value == red, (green - blue) / divisor, hue) + turns
    places = torch.tensor([5.0, 3.0, 1.0]).to(frames, non_blocking=True).view(3, 1)
    place = (hue.unsqueeze(2) + places).remainder(6)
    return value.unsqueeze(2) - chroma.unsqueeze(2) * torch.minimum(place, 4 - place).clamp(0, 1)


def _blurred(clip: Tensor, sigma: float) -> Tensor:
    """(S, 3, H, W), blurred with a kernel of 9 x 9 pixels; the frame goes on as its own mirror image."""
    steps = torch.arange(-BLUR_RADIUS, BLUR_RADIUS + 1, device=clip.device, dtype=clip.dtype)
    weights = torch.exp(-((steps / sigma) ** 2) / 2)
    planes = functional.pad(clip.flatten(0, 1)[None], [BLUR_RADIUS] * 4, mode="reflect")  # (1, S*3, H+8, W+8)
    count = planes.shape[1]
    weights = (weights / weights.sum()).expand(count, 1, -1)
    planes = functional.conv2d(planes, weights.unsqueeze(3), groups=count)
    return functional.conv2d(planes, weights.unsqueeze(2), groups=count).view_as(clip)
