"""Changes of brightness, contrast, saturation and hue: one matrix for all pixels of a clip.

The matrix is that of DALI's color_twist, which is slow on the CPU: contrast turns about mid grey, saturation and hue in
YIQ, the colour space of NTSC (FCC 1953).
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

YIQ = torch.tensor(
    [[0.299, 0.587, 0.114], [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]], dtype=torch.float64
)
"""RGB -> brightness, and two colour axes."""
MID_GREY = 128 / 255


def change_colours(video: torch.Tensor, colour: torch.Tensor) -> None:
    """Give clips other colours, in place, cut off at 0 and 1.

    Args:
        video: float32 (B, S, 3, H, W), 0..1, contiguous.
        colour: factors of brightness, contrast and saturation, and a turn of the hue in degrees, (B, 4); see
            `pipelines.sampling.Colour`.
    """
    clips, segments, _, height, width = video.shape
    matrices, offsets = (part.repeat_interleave(segments, 0).to(video) for part in _transforms(colour))
    frames = video.view(clips * segments, 3, height * width)
    if video.is_cuda:
        torch.clamp(torch.baddbmm(offsets, matrices, frames), 0, 1, out=frames)
        return
    with _one_thread():
        for frame, matrix, offset in zip(frames, matrices, offsets, strict=True):  # one by one they stay in the cache
            torch.clamp(torch.addmm(offset, matrix, frame), 0, 1, out=frame)


@contextmanager
def _one_thread() -> Iterator[None]:
    """The other cores decode meanwhile: a second thread would wait for one, and burn time of the first core."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _transforms(colour: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, 4) -> matrices (B, 3, 3) and offsets (B, 3, 1)."""
    brightness, contrast, saturation, hue = colour.double().cpu().unbind(1)  # (B,) each
    angle = -torch.deg2rad(hue)
    cosine, sine = saturation * angle.cos(), saturation * angle.sin()
    turn = torch.zeros(len(colour), 3, 3, dtype=torch.float64)
    turn[:, 0, 0] = 1
    turn[:, 1, 1], turn[:, 1, 2], turn[:, 2, 1], turn[:, 2, 2] = cosine, -sine, sine, cosine
    matrix = (brightness * contrast)[:, None, None] * (torch.linalg.inv(YIQ) @ turn @ YIQ)
    offset = (brightness * (1 - contrast) * MID_GREY)[:, None, None].expand(-1, 3, 1)
    return matrix, offset
