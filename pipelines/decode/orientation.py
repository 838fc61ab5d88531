"""How a decoded frame is turned, mirrored and stretched when it is shown: as the ffmpeg program and players do it.

A display matrix (ISO/IEC 14496-12, 8.3.2.2) may come from the container or from the stream; the decoder attaches it to
the frames. Of the many that it could be, FFmpeg knows quarter turns with and without a mirror, and whole degrees.
"""

import math
import struct
from fractions import Fraction
from typing import NamedTuple

import av
import numpy as np
from av.filter import Graph
from av.sidedata.sidedata import Type
from av.video.stream import VideoStream

MOST_STRETCHED = 4  # pixels that are longer are a mistake


class Orientation(NamedTuple):
    """A frame is first mirrored, then turned."""

    rotation: int = 0  # degrees counter-clockwise, 0 to 359
    mirrored: bool = False  # left and right change places

    @property
    def quarter_turns(self) -> int:
        """By how many times 90 degrees the pixels are turned; what is between them is done before (`levelled`)."""
        return 0 if self.rotation % 90 else self.rotation // 90

    @property
    def sideways(self) -> bool:
        """Whether height and width change places."""
        return self.quarter_turns % 2 == 1

    def shown(self, pixels: np.ndarray) -> np.ndarray:
        """A view of the pixels (H, W, ...) as they are shown."""
        return np.rot90(pixels[:, ::-1] if self.mirrored else pixels, self.quarter_turns)


class LastingMatrix:
    """Gives the frames of a stream, in the order shown, the latest display matrix where they have none of their own,
    as the ffmpeg program does. H.264 mostly sends it with the first frame only."""

    def __init__(self) -> None:
        self._latest: bytes | None = None

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The same frame."""
        self._latest = own_matrix(frame) or self._latest
        frame.opaque = self._latest
        return frame


def orientation(frame: av.VideoFrame) -> Orientation:
    """How a decoded frame is shown, by its own display matrix or by one that lasts."""
    matrix = own_matrix(frame) or frame.opaque
    if not (isinstance(matrix, bytes) and matrix):
        return Orientation()
    xx, xy, _, yx, yy = struct.unpack("=5i", matrix[:20])
    if not (xx or yx) or not (xy or yy):
        return Orientation()  # of a matrix that shows nothing
    clockwise = math.degrees(math.atan2(xy / math.hypot(xy, yy), xx / math.hypot(xx, yx)))
    degrees = math.floor(abs(clockwise) + 0.5)  # halves away from 0, as C rounds
    degrees = (degrees if clockwise > 0 else -degrees) % 360
    if degrees == 0:
        return Orientation(180, True) if yy < 0 else Orientation()
    if degrees == 180:
        return Orientation(180) if yy < 0 else Orientation(0, True)
    if degrees == 90:
        return Orientation(90, True) if yx > 0 else Orientation(270)
    if degrees == 270:
        return Orientation(270, True) if yx < 0 else Orientation(90)
    return Orientation(360 - degrees) if degrees > 1 else Orientation()


def own_matrix(frame: av.VideoFrame) -> bytes | None:
    """The display matrix that comes with a frame."""
    data = frame.side_data.get(Type.DISPLAYMATRIX)  # type: ignore[call-overload]  # PyAV's stubs do not know types
    return None if data is None else bytes(data)


def pixel_aspect(stream: VideoStream, how: Orientation) -> float:
    """Width of a pixel over its height, as the frame is shown: what the container says, or else the stream (FFmpeg's
    rule). 1 where neither says anything that can be meant.
    """
    said = stream.sample_aspect_ratio
    if not said or not 1 / MOST_STRETCHED <= said <= MOST_STRETCHED:
        return 1.0
    return float(1 / said if how.sideways else said)


def levelled(frame: av.VideoFrame) -> av.VideoFrame:
    """The frame, after a turn that is none of quarters: within its own size, with black corners."""
    how = orientation(frame)
    if how.rotation % 90 == 0:
        return frame
    graph = Graph()
    tick = frame.time_base or Fraction(1, 1000)
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=tick)
    rotate = graph.add("rotate", f"{360 - how.rotation}*PI/180")
    graph.link_nodes(source, rotate, graph.add("buffersink")).configure()
    graph.vpush(frame)
    return graph.vpull()
