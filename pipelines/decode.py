"""The wanted frames of a video file, decoded on the CPU; and what is known of a file without decoding more than a frame.

Frames are counted from 0 in the order in which a full decode of the file yields them. Only the packets that the wanted
frames need reach the decoder, and only wanted frames are converted to RGB. The decoder is strict: where it finds damage it
stops, instead of filling in what is missing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import av
import numpy as np
from av.codec import CodecContext
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from pipelines.demux import Demuxed, check_range, demux
from pipelines.packets import Run
from pipelines.video_file import VideoError, damaged, open_video, video_stream


class _NotSelectable(Exception):
    """The selected packets did not give the wanted frames; the whole file must be decoded."""


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """What the index keeps of a video."""

    frames: int  # that a full decode yields
    fps: float  # mean frame rate, as the container says
    width: int  # pixels, as shown (after rotation)
    height: int
    rotation: int  # degrees counter-clockwise by which the decoded pictures are turned: 0, 90, 180 or 270
    codec: str  # FFmpeg's name of the format
    pix_fmt: str  # FFmpeg's name of the pixel format
    variable_rate: bool  # the time from frame to frame differs
    sound_rate: int  # samples per second; 0: no sound
    sound_channels: int


def decode_frames(path: str | Path, frames: Sequence[int]) -> np.ndarray:
    """RGB pictures of the wanted frames (any order, repeats allowed): uint8 (S, H, W, 3).

    Pictures are turned as the file's rotation says, and converted with the BT.601 matrix (as NVDEC's pictures are), from
    limited range unless the stream says that it is full.

    Raises:
        VideoError: see `open_video`, `video_stream` and `demux`; further `damaged` (as far as the decoder can tell),
            `short` (a wanted frame is not there) and `changes_size` (the wanted pictures have different sizes).
    """
    wanted = [int(frame) for frame in frames]
    pictures = _decode(path, set(wanted))
    to_rgb = _RGBConverter()
    video = None
    for number, picture in pictures.items():
        rgb = to_rgb(picture)  # (H, W, 3)
        if video is None:
            video = np.empty((len(wanted), *rgb.shape), np.uint8)
        if rgb.shape != video.shape[1:]:
            sizes = f"{video.shape[1:3]} and {rgb.shape[:2]}"
            raise VideoError("changes_size", f"{path}: pictures of sizes {sizes}; make a training copy of it")
        video[[i for i, frame in enumerate(wanted) if frame == number]] = rgb
    return video


def probe(path: str | Path) -> VideoInfo:
    """What a video holds. Its packets are read, but only one picture is decoded, or all where packets do not tell the
    number of frames: codecs other than those of `headers`, MPEG-4 pictures that may be empty, files that do not begin
    with a random access point, and those without trustworthy times (repeated, missing, or made up by the demuxer).

    Raises:
        VideoError: as `decode_frames`.
    """
    with open_video(path) as container:
        stream = video_stream(path, container)
        demuxed = demux(path, container, stream)
        first, frames = _first_and_count(demuxed, stream.codec_context)
        sound = next((track.codec_context for track in container.streams.audio if track.codec_context), None)
        sideways = _quarter_turns(first) % 2 == 1
        return VideoInfo(
            frames=frames,
            fps=float(stream.average_rate or stream.guessed_rate or 0),
            width=first.height if sideways else first.width,
            height=first.width if sideways else first.height,
            rotation=_quarter_turns(first) * 90,
            codec=stream.codec_context.codec.canonical_name,
            pix_fmt=first.format.name,
            variable_rate=_variable_rate(demuxed),
            sound_rate=sound.sample_rate if sound else 0,
            sound_channels=sound.channels if sound else 0,
        )


def _first_and_count(demuxed: Demuxed, codec: CodecContext) -> tuple[av.VideoFrame, int]:
    """The first picture and the number of frames."""
    selected = _decode_selected(demuxed, codec, {0})
    if selected:
        return selected[0], len(demuxed.shown)
    pictures = _full_decode(demuxed)
    first = next(pictures, None)
    if first is None:
        raise VideoError("no_video", f"{demuxed.path}: its video stream holds no picture; leave it out of the list")
    return first, 1 + sum(1 for _ in pictures)


def _decode(path: str | Path, wanted: set[int]) -> dict[int, av.VideoFrame]:
    """The pictures of the wanted frames, from as few packets as possible."""
    with open_video(path) as container:
        stream = video_stream(path, container)
        demuxed = demux(path, container, stream)
        if demuxed.shown is not None:
            check_range(path, wanted, len(demuxed.shown))
        pictures = _decode_selected(demuxed, stream.codec_context, wanted)
    if pictures is not None:
        return pictures
    pictures, count = {}, 0
    for number, picture in enumerate(_full_decode(demuxed)):
        count = number + 1
        if number in wanted:
            pictures[number] = picture
            if len(pictures) == len(wanted):
                return pictures
    check_range(path, wanted, count)
    return pictures


def _decode_selected(demuxed: Demuxed, codec: CodecContext, wanted: set[int]) -> dict[int, av.VideoFrame] | None:
    """The pictures of the wanted frames from the packets that they need; None where this cannot be or did not work."""
    if not demuxed.shown:
        return None
    _set_up(codec, strict=True)
    pictures = {}
    try:
        for run in demuxed.runs(wanted):
            pictures |= _decode_run(codec, demuxed, run)
    except (av.FFmpegError, _NotSelectable):
        return None  # damage, or a stream that breaks a rule: the full decode will tell
    return pictures


def _decode_run(codec: CodecContext, demuxed: Demuxed, run: Run) -> dict[int, av.VideoFrame]:
    """The wanted pictures of one run of packets, by frame number."""
    frame_at = {demuxed.facts[i].pts: frame for i, frame in run.wanted.items()}
    pictures, last = {}, None
    for packet in chain(demuxed.packets(run.packets), [None]):
        for picture in codec.decode(packet):
            if picture.is_corrupt or picture.pts is None or (last is not None and picture.pts <= last):
                raise _NotSelectable
            last = picture.pts
            if last in frame_at:
                pictures[frame_at[last]] = picture
    codec.flush_buffers()  # the next run begins as if it were the first
    if len(pictures) < len(frame_at):
        raise _NotSelectable
    return pictures


def _full_decode(demuxed: Demuxed) -> Iterator[av.VideoFrame]:
    """All pictures of a file, in order."""
    path = demuxed.path
    with open_video(path) as container:
        stream = video_stream(path, container)
        # A file cut out of a longer one may begin with pictures whose references are gone. A decoder leaves these out;
        # only for a strict one are they damage.
        _set_up(stream.codec_context, strict=demuxed.starts_clean)
        try:
            for number, picture in enumerate(container.decode(stream)):
                if picture.is_corrupt:
                    raise damaged(path, f"frame {number} cannot be decoded in full")
                yield picture
        except av.FFmpegError as error:
            raise damaged(path, error) from error


def _set_up(codec: CodecContext, strict: bool) -> None:
    """strict: the decoder stops at damage. It works in one thread: there is a worker for each core."""
    codec.options = {"err_detect": "explode"} if strict else {}
    codec.thread_count = 1


class _RGBConverter:
    """Decoded picture -> RGB as shown, uint8 (H, W, 3)."""

    def __init__(self):
        self.reformatter = VideoReformatter()

    def __call__(self, picture: av.VideoFrame) -> np.ndarray:
        full_range = picture.color_range == ColorRange.JPEG or picture.format.name.startswith("yuvj")
        rgb = self.reformatter.reformat(
            picture,
            format="rgb24",
            src_colorspace=Colorspace.ITU601,
            dst_colorspace=Colorspace.ITU601,
            src_color_range=ColorRange.JPEG if full_range else ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
            threads=1,
        )
        plane = rgb.planes[0]
        rows = np.frombuffer(plane, np.uint8).reshape(rgb.height, plane.line_size)  # rows are padded
        pixels = rows[:, : 3 * rgb.width].reshape(rgb.height, rgb.width, 3)
        return np.rot90(pixels, _quarter_turns(picture))


def _quarter_turns(picture: av.VideoFrame) -> int:
    """By how many times 90 degrees, counter-clockwise, the picture is shown turned: 0 to 3."""
    return round(picture.rotation / 90) % 4


def _variable_rate(demuxed: Demuxed) -> bool:
    """Whether the time between frames differs by more than the clock's rounding."""
    if demuxed.shown is None:
        return False
    steps = np.diff([demuxed.facts[i].pts for i in demuxed.shown])
    return bool(len(steps) and steps.max() - steps.min() > max(1, 0.02 * np.median(steps)))
