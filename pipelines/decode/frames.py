"""The wanted frames of a video file as RGB images, decoded on the CPU; and what a file holds.

Frames are counted from 0 in the order in which a full decode of the file yields them. Only the packets that the wanted
frames need reach the decoder, and only wanted frames are converted to RGB.
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer

from pipelines.audio.decode import AudioError, audio_stream
from pipelines.decode.container import VideoError
from pipelines.decode.demux import Demuxed
from pipelines.decode.orientation import orientation, pixel_aspect
from pipelines.decode.packet_table import table_frames
from pipelines.decode.reader import VideoReader, wanted_frames
from pipelines.decode.rgb import RGBConverter
from pipelines.sampling.plan import Crop


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """What the index keeps of a video."""

    frames: int  # that a full decode yields
    fps: float  # mean frame rate, as the container says; 0: it does not say
    width: int  # pixels, as shown (turned)
    height: int
    rotation: int  # degrees counter-clockwise by which the decoded frames are turned, 0 to 359
    mirrored: bool  # left and right of the decoded frames change places before that
    pixel_aspect: float  # width of a pixel over its height, as shown
    codec: str  # FFmpeg's name of the format
    pix_fmt: str  # FFmpeg's name of the pixel format
    interlaced: bool  # a frame holds two fields, of different times
    variable_rate: bool  # the time from frame to frame differs
    audio_rate: int  # samples per second; 0: no audio; -1: audio without a decoder
    audio_channels: int


def decode_frames(path: str | Path, frames: Collection[int]) -> np.ndarray:
    """RGB images of the wanted frames (at least one; any order, repeats allowed): uint8 (S, H, W, 3).

    They are turned and mirrored as the file says, and converted with the BT.601 matrix (as NVDEC's frames are),
    from limited range unless the stream says that it is full.

    Raises:
        VideoError: as `wanted_frames`; further `changes_size` (the wanted frames have different sizes).
    """
    wanted = [int(frame) for frame in frames]
    decoded = wanted_frames(path, set(wanted))
    height, width = shown_size(decoded[wanted[0]])
    return _to_rgb(path, wanted, decoded, (height, width), Crop(0, 0, height, width))


def decode_crop(
    path: str | Path,
    frames: Collection[int],
    size: tuple[int, int],
    crop: Crop,
    together: Collection[int] = (),
    once: bool = False,
    table: str = "",
) -> np.ndarray:
    """The same part of all wanted frames, as `decode_frames` gives them: uint8 (S, crop.height, crop.width, 3).

    Args:
        path: the file.
        frames: numbers of the wanted frames, at least one.
        size: height and width that all wanted frames must have, in pixels as shown.
        crop: inside of that size.
        together: `frames` and others that are wanted of the file next. All are decoded at once and
            kept until others are asked for together.
        once: as for `wanted_frames`.
        table: where the packets lie, see `pipelines.decode.packet_table`; used if there is one.

    Raises:
        VideoError: as `decode_frames`, also for frames of `together`.
    """
    wanted = [int(frame) for frame in frames]
    decoded = _kept_frames(path, frozenset(together), table) if together else _frames(path, set(wanted), table, once)
    return _to_rgb(path, wanted, {number: decoded[number] for number in wanted}, size, crop)


@lru_cache(maxsize=1)
def _kept_frames(path: str | Path, wanted: frozenset[int], table: str) -> dict[int, av.VideoFrame]:
    return _frames(path, wanted, table)


def _frames(path: str | Path, wanted: Collection[int], table: str, once: bool = False) -> dict[int, av.VideoFrame]:
    frames = table_frames(path, table, wanted) if table else None
    return wanted_frames(path, wanted, once) if frames is None else frames


def _to_rgb(
    path: str | Path, wanted: list[int], decoded: dict[int, av.VideoFrame], size: tuple[int, int], crop: Crop
) -> np.ndarray:
    video = np.empty((len(wanted), crop.height, crop.width, 3), np.uint8)
    to_rgb = RGBConverter()
    for number, frame in decoded.items():
        if shown_size(frame) != tuple(size):
            sizes = f"{shown_size(frame)}, but {tuple(size)} is expected"
            message = f"{path}: has a frame of size {sizes}; index the videos again, or make a training copy of it"
            raise VideoError("changes_size", message)
        pixels = to_rgb(frame, crop)
        for place, wish in enumerate(wanted):
            if wish == number:
                video[place] = pixels
    return video


def probe(path: str | Path) -> VideoInfo:
    """What a video holds. All packets are read, but only what the first frame needs is decoded; or everything, where
    packets do not tell the number of frames: codecs that `headers` does not know, MPEG-4 pictures that may be empty,
    files that do not begin with a random access point, and those without trustworthy times (repeated, missing, or made
    up by the demuxer, as for AVI).

    Raises:
        VideoError: as `decode_frames`.
    """
    with VideoReader(path) as video:
        return video_info(video)


def video_info(video: VideoReader) -> VideoInfo:
    """The same of a video that is open."""
    first, frames = _first_and_count(video)
    audio_rate, audio_channels = _audio(video.path, video.container)
    height, width = shown_size(first)
    stream, how = video.stream, orientation(first)
    return VideoInfo(
        frames=frames,
        fps=float(stream.average_rate or stream.guessed_rate or 0),
        width=width,
        height=height,
        rotation=how.rotation,
        mirrored=how.mirrored,
        pixel_aspect=pixel_aspect(stream, how),
        codec=stream.codec_context.codec.canonical_name,
        pix_fmt=first.format.name,
        interlaced=bool(first.interlaced_frame),
        variable_rate=_variable_rate(video.demuxed),
        audio_rate=audio_rate,
        audio_channels=audio_channels,
    )


def _audio(path: str | Path, container: InputContainer) -> tuple[int, int]:
    """Rate and channels of the audio, as `VideoInfo` has them."""
    try:
        track = audio_stream(path, container)
    except AudioError:
        return -1, 0
    return (track.rate, track.channels) if track else (0, 0)


def _first_and_count(video: VideoReader) -> tuple[av.VideoFrame, int]:
    """The first frame and the number of all."""
    selected = video.selected({0})
    if selected:
        return selected[0], len(video.demuxed.shown or ())
    frames = video.all_frames()
    first = next(frames, None)
    if first is None:
        raise VideoError("no_video", f"{video.path}: its video stream holds no frame; leave it out of the list")
    return first, 1 + sum(1 for _ in frames)


def shown_size(frame: av.VideoFrame) -> tuple[int, int]:
    """Height and width as shown."""
    sideways = orientation(frame).sideways
    return (frame.width, frame.height) if sideways else (frame.height, frame.width)


def _variable_rate(demuxed: Demuxed) -> bool:
    """Whether the time between frames differs by more than the clock's rounding."""
    steps = np.diff(sorted(fact.pts for fact in demuxed.facts if fact.frame is not False and fact.pts is not None))
    return bool(len(steps) and steps.max() - steps.min() > max(1, 0.02 * np.median(steps)))
