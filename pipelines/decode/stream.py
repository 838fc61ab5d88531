"""Frames and audio of a video in real time: from a file, a pipe or a camera."""

import logging
import math
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import av
import numpy as np
from av.container import InputContainer

from pipelines.audio.clock import Tape
from pipelines.audio.decode import Converter, audio_stream
from pipelines.decode.container import VideoError, damaged, decodable, open_video, video_stream
from pipelines.decode.frames import shown_size
from pipelines.decode.orientation import LastingMatrix, orientation, pixel_aspect
from pipelines.decode.rgb import RGBConverter
from pipelines.sampling.plan import centre_crop, displayed_size, undisplayed

log = logging.getLogger(__name__)

PIPE = "-"
PIPE_FORMATS = "matroska,webm,mpegts"
"""Containers that may come through a pipe; all can be read without going back."""
CAMERA_FORMAT = "v4l2"
AHEAD = 60.0
"""Seconds of audio that are kept of what comes before the frames that it belongs to."""
LATE = 1.0
"""Seconds by which audio may come later than its frames; then nothing was recorded: it is silent."""
ROUNDING = 1e-6
"""Seconds by which a sum of times may be off."""


class StreamFrame(NamedTuple):
    """One frame that is fed to a network."""

    time: float  # seconds from the stream's first frame
    image: np.ndarray  # uint8 (H, W, 3): the center crop, square as it is shown
    audio: np.ndarray  # float32 (channels, samples): what was played until then; no samples where there is none
    rate: int  # of the audio, samples per second; 0: there is none


def read_stream(source: str, fps: float, seconds: float) -> Iterator[StreamFrame]:
    """The frames that are shown at (k + 1/2) / fps seconds, k = 0, 1, ..., each with the audio of the `seconds` before,
    as far as it has come, on the clock of the source: silence where nothing was recorded.

    These are the middles of equal parts, as in a validation: with fps = S / duration, the S frames of a file. A source
    with fewer frames gives all of them. Packets that cannot be decoded are passed over.

    Args:
        source: a video file; "-", a pipe or a FIFO with one of PIPE_FORMATS; or a camera such as /dev/video0.
        fps: frames per second that are wanted.
        seconds: of audio that are kept; 0: the audio is not read.

    Raises:
        AudioError: there is no decoder for its audio.
        VideoError: it cannot be opened, or gives no frame.
    """
    with _open(source) as container:
        video = video_stream(source, container)
        rate = float(video.average_rate or video.guessed_rate or 0)
        audio = audio_stream(source, container) if seconds else None
        tape, oriented, to_rgb = _Audio(seconds), LastingMatrix(), RGBConverter()
        count, due, first = 0, 0.5 / fps, None
        for packet in _packets(source, container, [stream for stream in (video, audio) if stream]):
            for frame in _decoded(packet):
                if packet.stream is audio:
                    tape.add(frame)
                    continue
                frame = oriented(frame)
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
                yield StreamFrame(time - first, np.ascontiguousarray(part), *tape.until(frame.time, first))
        if not count:
            raise VideoError("no_video", f"{source}: gives no frame that can be decoded")


class _Audio:
    """The latest seconds of an audio track."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._tape, self._converter = Tape(), Converter()

    def add(self, frame: av.AudioFrame) -> None:
        for piece in self._converter.pieces(frame):
            self._tape.add(piece)
        self._tape.forget(self._tape.end - self._seconds - AHEAD)

    def until(self, time: float | None, first: float) -> tuple[np.ndarray, int]:
        """What has come of the seconds before a frame, and its rate.

        time: when the frame is shown, on the clock of the source; None: it has none, the latest audio will do.
        first: when the first frame was shown; the audio begins there, or earlier if it was played before.
        """
        tape = self._tape
        if not tape.rate:
            return np.empty((1, 0), np.float32), 0
        end = tape.end
        if time is not None:
            end = time if end < time - LATE else min(end, time)
            tape.forget(end - self._seconds)
        return tape.cut(max(end - self._seconds, min(first, tape.start)), end), tape.rate


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
