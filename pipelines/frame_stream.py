"""Frames and sound of a video as they come: from a file, a pipe or a camera."""

import logging
import math
import os
import stat
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import av
import numpy as np
from av.container import InputContainer

from pipelines.decode import RGBConverter, shown_size
from pipelines.orientation import orientation, pixel_aspect
from pipelines.sampling import centre_crop, displayed_size, undisplayed
from pipelines.sound import sound_kind
from pipelines.video_file import VideoError, damaged, decodable, open_video, video_stream

log = logging.getLogger(__name__)

PIPE = "-"
PIPE_FORMATS = "matroska,webm,mpegts"
"""Containers that may come through a pipe; all can be read without going back."""
CAMERA_FORMAT = "v4l2"
ROUNDING = 1e-6
"""Seconds by which a sum of times may be off."""


class StreamFrame(NamedTuple):
    """One frame that is fed to a network."""

    time: float  # seconds from the stream's first frame
    picture: np.ndarray  # uint8 (H, W, 3): the centre crop, square as it is shown
    sound: np.ndarray  # float32 (channels, samples): the latest that has come; no samples where there is none
    rate: int  # of the sound, samples per second; 0: there is none


def read_stream(source: str, fps: float, seconds: float) -> Iterator[StreamFrame]:
    """The frames that are shown at (k + 1/2) / fps seconds, k = 0, 1, ..., each with the sound of the past `seconds`.

    These are the middles of equal parts, as in a validation: with fps = S / duration, the S frames of a file. A source
    with fewer frames gives all of them. Packets that cannot be decoded are passed over.

    Args:
        source: a video file; "-", a pipe or a FIFO with one of PIPE_FORMATS; or a camera such as /dev/video0.
        fps: frames per second that are wanted.
        seconds: of sound that are kept.

    Raises:
        VideoError: it cannot be opened, or gives no frame.
    """
    with _open(source) as container:
        video = video_stream(source, container)
        rate = float(video.average_rate or video.guessed_rate or 0)
        audio = container.streams.best("audio")
        sound, to_rgb = _Sound(seconds), RGBConverter()
        count, due, first = 0, 0.5 / fps, None
        for packet in _packets(source, container, [stream for stream in (video, audio) if stream]):
            for frame in _decoded(packet):
                if packet.stream is audio:
                    sound.add(frame)
                    continue
                time = frame.time if frame.time is not None else count / (rate or fps)
                first, count = time if first is None else first, count + 1
                shown_until = time - first + (1 / rate if rate else 0)
                if shown_until <= due + ROUNDING:
                    continue
                due = (math.ceil((shown_until - ROUNDING) * fps - 0.5) + 0.5) / fps
                size = shown_size(frame)
                displayed = displayed_size(*size, pixel_aspect(video, orientation(frame)))
                crop = undisplayed(centre_crop(*displayed), displayed, size)
                part = to_rgb(frame)[crop.y : crop.y + crop.height, crop.x : crop.x + crop.width]
                yield StreamFrame(time - first, np.ascontiguousarray(part), *sound.latest())
        if not count:
            raise VideoError("no_video", f"{source}: gives no frame that can be decoded")


class _Sound:
    """The latest seconds of a sound."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._pieces: deque[np.ndarray] = deque()
        self._samples = self._rate = 0
        self._layout: av.AudioLayout | None = None
        self._resampler: av.AudioResampler | None = None
        self._kind: tuple[str, str, int] | None = None  # of the frames that the resampler takes

    def add(self, frame: av.AudioFrame) -> None:
        if sound_kind(frame) != self._kind:
            # A sound that changes on the way keeps the rate and channels that it begins with.
            self._layout, self._rate = self._layout or frame.layout, self._rate or frame.sample_rate
            self._resampler = av.AudioResampler(format="fltp", layout=self._layout, rate=self._rate)
            self._kind = sound_kind(frame)
        for piece in self._resampler.resample(frame):
            self._pieces.append(piece.to_ndarray())
            self._samples += piece.samples
        while self._pieces and self._samples - self._pieces[0].shape[1] >= self._wanted:
            self._samples -= self._pieces.popleft().shape[1]

    def latest(self) -> tuple[np.ndarray, int]:
        if not self._pieces:
            return np.empty((1, 0), np.float32), 0
        return np.concatenate(self._pieces, axis=1)[:, -self._wanted :], self._rate

    @property
    def _wanted(self) -> int:
        """Samples."""
        return round(self._seconds * self._rate)


@contextmanager
def _open(source: str) -> Iterator[InputContainer]:
    mode = os.stat(source).st_mode if source != PIPE and os.path.exists(source) else 0
    if source == PIPE or stat.S_ISFIFO(mode):
        descriptor = sys.stdin.fileno() if source == PIPE else source
        with (
            open(descriptor, "rb") as file,
            _opened(source, file, options={"format_whitelist": PIPE_FORMATS}) as container,
        ):
            yield container
    elif stat.S_ISCHR(mode):
        with _opened(source, source, format=CAMERA_FORMAT) as container:
            yield container
    else:
        with open_video(source) as container:
            yield container


def _opened(source: str, file: Any, **how: Any) -> InputContainer:
    try:
        return av.open(file, metadata_errors="replace", **how)
    except (av.FFmpegError, ValueError) as error:
        expected = f"a pipe with {PIPE_FORMATS}" if "options" in how else "a camera that Video4Linux knows"
        raise VideoError("unreadable", f"{source}: cannot be opened ({error}); expected {expected}") from error


def _packets(source: str, container: InputContainer, streams: list) -> Iterator[av.Packet]:
    try:
        yield from decodable(container.demux(*streams))
    except av.FFmpegError as error:
        raise damaged(source, error) from error


def _decoded(packet: av.Packet) -> list:
    try:
        return packet.decode()
    except av.FFmpegError as error:
        log.warning("a packet at %s s is passed over: %s", packet.pts and float(packet.pts * packet.time_base), error)
        return []
