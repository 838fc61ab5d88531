"""A video file that is opened once, and its frames as the decoder gives them: only wanted ones from the packets that
they need, or all.

The decoder is strict: where it finds damage it stops, instead of filling in what is missing.
"""

import os
from collections.abc import Collection, Iterator
from contextlib import ExitStack, suppress
from fractions import Fraction
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Self

import av
from av.codec import CodecContext
from av.video.codeccontext import VideoCodecContext

from pipelines.decode.bitstream.mp4 import SampleTable
from pipelines.decode.bitstream.packets import Run
from pipelines.decode.container import damaged, open_video, video_stream
from pipelines.decode.demux import Demuxed, check_range, demux, demux_plain
from pipelines.decode.orientation import LastingMatrix


class _SelectionError(Exception):
    """The selected packets did not give the wanted frames."""


class VideoReader:
    """A video file in a `with` statement: its packets are read when it is opened, its frames decoded on demand.

    Args:
        path: the file.
        demuxed: what an earlier reader of the same file found, so that its packets are not read again.

    Raises:
        VideoError: see `open_video`, `video_stream` and `demux`.
    """

    def __init__(self, path: str | Path, demuxed: Demuxed | None = None):
        self.path = path
        self._known = demuxed

    def __enter__(self) -> Self:
        self._open()
        try:
            self.demuxed = self._known or demux(self.path, self.container, self.stream)
        except BaseException:
            self._files.close()
            raise
        return self

    def __exit__(self, *exception) -> None:
        self._files.close()

    @property
    def tick(self) -> Fraction:
        """Seconds in which the times of packets and frames are counted."""
        assert self.stream.time_base is not None  # demuxers set it
        return self.stream.time_base

    def frames(self, wanted: Collection[int]) -> dict[int, av.VideoFrame]:
        """The wanted frames, by number.

        Raises:
            VideoError: `damaged` (as far as the decoder can tell) or `short` (a wanted frame is not there).
        """
        if self.demuxed.shown is not None:
            check_range(self.path, wanted, len(self.demuxed.shown))
        frames = self.selected(wanted)
        if frames is not None:
            return frames
        frames, count = {}, 0
        for number, frame in enumerate(self.all_frames()):
            count = number + 1
            if number in wanted:
                frames[number] = frame
                if len(frames) == len(wanted):
                    return frames
        check_range(self.path, wanted, count)
        return frames

    def selected(self, wanted: Collection[int]) -> dict[int, av.VideoFrame] | None:
        """The wanted frames from the packets that they need; None where this cannot be or did not work."""
        return selected_frames(self.demuxed, self._unused_decoder(), wanted) if self.demuxed.shown else None

    def each(self, wanted: Collection[int]) -> Iterator[tuple[int, av.VideoFrame]]:
        """The wanted frames with their numbers, in the order shown; only one of them is kept at a time.

        Raises:
            VideoError: `damaged`.
        """
        last = -1
        if self.demuxed.shown:
            with suppress(av.FFmpegError, _SelectionError):
                for last, frame in _selected(self.demuxed, self._unused_decoder(), wanted):
                    yield last, frame
                return
        for number, frame in enumerate(self.all_frames()):
            if number > last and number in wanted:
                yield number, frame

    def all_frames(self) -> Iterator[av.VideoFrame]:
        """All frames, in the order shown.

        Raises:
            VideoError: `damaged`.
        """
        codec, end, oriented = self._unused_decoder(), av.Packet(), LastingMatrix()
        end.time_base = self.tick
        # A file cut out of a longer one may begin with pictures whose references are gone. A decoder leaves these out;
        # only to a strict one they are damage.
        _set_up(codec, strict=self.demuxed.starts_clean)
        packets = chain(self.demuxed.packets(range(len(self.demuxed.facts))), [end])
        try:
            for number, frame in enumerate(frame for packet in packets for frame in codec.decode(packet)):
                if frame.is_corrupt:
                    raise damaged(self.path, f"frame {number} cannot be decoded in full")
                yield oriented(frame)
        except av.FFmpegError as error:
            raise damaged(self.path, error) from error

    def _open(self) -> None:
        with ExitStack() as files:
            self.container = files.enter_context(open_video(self.path))
            self.stream = video_stream(self.path, self.container)
            self._is_used = False
            self._files = files.pop_all()

    def _unused_decoder(self) -> VideoCodecContext:
        """The decoder of the stream. Once used it knows of later parameters, or has stopped at damage; another one
        that knows all that the file's header says takes opening the file again.
        """
        if self._is_used:
            self._files.close()
            self._open()
        self._is_used = True
        return self.stream.codec_context


def wanted_frames(path: str | Path, wanted: Collection[int], once: bool = False) -> dict[int, av.VideoFrame]:
    """The wanted frames of a file, by number.

    Args:
        path: the file.
        wanted: numbers of frames.
        once: other frames of the same file are wanted next: its packets are read once and kept.

    Raises:
        VideoError: as `VideoReader` and its `frames`.
    """
    frames = _plain_frames(path, wanted, once)
    if frames is not None:
        return frames
    with VideoReader(path, _kept_demuxed(path, _version(path)) if once else None) as video:
        return video.frames(wanted)


def _version(path: str | Path) -> tuple[int, ...]:
    """What changes with a local file."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # in an object store, or a name that cannot be one
        return ()
    return status.st_ino, status.st_size, status.st_mtime_ns


@lru_cache(maxsize=1)
def _kept_demuxed(path: str | Path, _version: tuple[int, ...]) -> Demuxed:
    with VideoReader(path) as video:
        return video.demuxed


@lru_cache(maxsize=1)
def _kept_plain(path: str | Path, _version: tuple[int, ...]) -> tuple[Demuxed, SampleTable] | None:
    return demux_plain(path)


def _plain_frames(path: str | Path, wanted: Collection[int], once: bool) -> dict[int, av.VideoFrame] | None:
    """The wanted frames of a plain MP4 file; None where anything at all is out of the ordinary."""
    plain = _kept_plain(path, _version(path)) if once else demux_plain(path)
    if plain is None:
        return None
    demuxed, table = plain
    shown = demuxed.shown or []
    if not all(0 <= frame < len(shown) for frame in wanted):
        return None
    codec = CodecContext.create(table.codec, "r")
    assert isinstance(codec, VideoCodecContext)
    codec.extradata = table.extradata
    frames = selected_frames(demuxed, codec, wanted)
    if codec.has_b_frames and shown == sorted(shown):
        return None  # the frames are reordered, but the file does not say how
    return frames


def selected_frames(
    demuxed: Demuxed, codec: VideoCodecContext, wanted: Collection[int]
) -> dict[int, av.VideoFrame] | None:
    """The wanted frames from the packets that they need, where their order is known; None where that did not work."""
    try:
        return dict(_selected(demuxed, codec, wanted))
    except (av.FFmpegError, _SelectionError):
        return None  # damage, or a stream that breaks a rule: decoding all will tell


def _selected(
    demuxed: Demuxed, codec: VideoCodecContext, wanted: Collection[int]
) -> Iterator[tuple[int, av.VideoFrame]]:
    """The same, one after another, with their numbers."""
    _set_up(codec, strict=True)
    for run in demuxed.runs(wanted):
        yield from _decode_run(codec, demuxed, run)


def _decode_run(codec: VideoCodecContext, demuxed: Demuxed, run: Run) -> Iterator[tuple[int, av.VideoFrame]]:
    """The wanted frames of one run of packets, with their numbers."""
    frame_at = {demuxed.facts[i].pts: frame for i, frame in run.wanted.items()}
    found, last = 0, None
    for packet in chain(demuxed.packets(run.packets), [None]):
        for frame in codec.decode(packet):
            if frame.is_corrupt or frame.pts is None or (last is not None and frame.pts <= last):
                raise _SelectionError
            last = frame.pts
            if last in frame_at:
                found += 1
                yield frame_at[last], frame
    codec.flush_buffers()  # the next run begins as if it were the first
    if found < len(frame_at):
        raise _SelectionError


def _set_up(codec: VideoCodecContext, strict: bool) -> None:
    """strict: the decoder stops at damage. One thread: decode workers are as many as there are cores."""
    codec.options = {"err_detect": "explode"} if strict else {}
    codec.thread_count = 1
