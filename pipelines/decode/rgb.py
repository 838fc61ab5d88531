"""Decoded frames, or a part of them, as RGB."""

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from pipelines.decode.orientation import Orientation, levelled, orientation
from pipelines.sampling.plan import Crop

HALF_CHROMA = ("yuv420p", "yuvj420p")
ALIGNED = 16
"""Pixels that libswscale converts at once."""


class RGBConverter:
    """Decoded frame -> RGB as shown, uint8 (H, W, 3)."""

    def __init__(self) -> None:
        self.reformatter = VideoReformatter()

    def __call__(self, frame: av.VideoFrame, crop: Crop | None = None) -> np.ndarray:
        """crop: only this part of what is shown; without one, all of it."""
        if crop is not None and _is_cut_before(frame):
            frame, crop = _around(frame, crop)
        pixels = self._converted(frame)
        if crop is None:
            return pixels
        return pixels[crop.y : crop.y + crop.height, crop.x : crop.x + crop.width]

    def _converted(self, frame: av.VideoFrame) -> np.ndarray:
        rgb = self.reformatter.reformat(
            levelled(frame),
            format="rgb24",
            src_colorspace=Colorspace.ITU601,
            dst_colorspace=Colorspace.ITU601,
            src_color_range=color_range(frame),
            dst_color_range=ColorRange.JPEG,
            threads=1,
        )
        plane = rgb.planes[0]
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(rgb.height, plane.line_size)  # rows are padded
        pixels = rows[:, : 3 * rgb.width].reshape(rgb.height, rgb.width, 3)
        return orientation(frame).shown(pixels)


def color_range(frame: av.VideoFrame) -> ColorRange:
    """Full range if the stream says so, else limited range."""
    full = frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")
    return ColorRange.JPEG if full else ColorRange.MPEG


def _is_cut_before(frame: av.VideoFrame) -> bool:
    """Whether a part of the frame is converted as it is within the whole: libswscale interpolates the chroma of odd
    heights, and takes the fields of interlaced frames one by one."""
    plain = frame.format.name in HALF_CHROMA and frame.height % 2 == 0 and not frame.interlaced_frame
    return plain and orientation(frame) == Orientation()


def _around(frame: av.VideoFrame, crop: Crop) -> tuple[av.VideoFrame, Crop]:
    """The part of a frame around a crop that begins with whole chroma pixels; where the crop lies in it."""
    top, left = crop.y & ~1, crop.x & ~1
    bottom = (crop.y + crop.height + 1) & ~1
    right = min(frame.width, left + (crop.x + crop.width - left + ALIGNED - 1) // ALIGNED * ALIGNED)
    part = av.VideoFrame(right - left, bottom - top, frame.format.name)
    for source, target, size in zip(_pixels(frame), _pixels(part), (1, 2, 2), strict=True):
        height, width = target.shape
        target[:] = source[top // size : top // size + height, left // size : left // size + width]
    part.color_range = frame.color_range
    return part, Crop(crop.y - top, crop.x - left, crop.height, crop.width)


def _pixels(frame: av.VideoFrame) -> list[np.ndarray]:
    """The planes of a frame, each uint8 (H, W)."""
    return [
        np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
        for plane in frame.planes
    ]
