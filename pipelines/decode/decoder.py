"""The pictures of a video as the decoder gives them: only wanted ones from the packets that they need, or all.

The decoder is strict: where it finds damage it stops, instead of filling in what is missing.
"""

import os
from collections.abc import Collection, Iterator
from functools import lru_cache
from itertools import chain
from pathlib import Path

import av
from av.codec import CodecContext

from pipelines.decode.bitstream.packets import Run
from pipelines.decode.container import damaged, decodable, open_video, video_stream
from pipelines.decode.demux import Demuxed, check_range, demux, demux_plain
from pipelines.decode.orientation import LastingMatrix


class _SelectionError(Exception):
    """The selected packets did not give the wanted frames."""


def wanted_pictures(path: str | Path, wanted: Collection[int], once: bool = False) -> dict[int, av.VideoFrame]:
    """The pictures of the wanted frames, by frame number.

    Args:
        path: the file.
        wanted: numbers of frames.
        once: other frames of the same file are wanted next: its packets are read once and kept.

    Raises:
        VideoError: see `open_video`, `video_stream` and `demux`; further `damaged` (as far as the decoder can tell) and
            `short` (a wanted frame is not there).
    """
    pictures = _plain_pictures(path, wanted, once)
    if pictures is not None:
        return pictures
    with open_video(path) as container:
        stream = video_stream(path, container)
        demuxed = _kept_demuxed(path, _version(path)) if once else demux(path, container, stream)
        if demuxed.shown is not None:
            check_range(path, wanted, len(demuxed.shown))
        pictures = selected_pictures(demuxed, stream.codec_context, wanted)
    if pictures is not None:
        return pictures
    pictures, count = {}, 0
    for number, picture in enumerate(all_pictures(demuxed)):
        count = number + 1
        if number in wanted:
            pictures[number] = picture
            if len(pictures) == len(wanted):
                return pictures
    check_range(path, wanted, count)
    return pictures


def _version(path: str | Path) -> tuple[int, ...]:
    """What changes with a local file."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # in an object store, or a name that cannot be one
        return ()
    return status.st_ino, status.st_size, status.st_mtime_ns


@lru_cache(maxsize=1)
def _kept_demuxed(path: str | Path, _version: tuple[int, ...]) -> Demuxed:
    with open_video(path) as container:
        return demux(path, container, video_stream(path, container))


@lru_cache(maxsize=1)
def _kept_plain(path: str | Path, _version: tuple[int, ...]) -> tuple[Demuxed, CodecContext] | None:
    return demux_plain(path)


def _plain_pictures(path: str | Path, wanted: Collection[int], once: bool) -> dict[int, av.VideoFrame] | None:
    """The pictures of the wanted frames of a plain MP4 file; None where anything at all is out of the ordinary."""
    plain = _kept_plain(path, _version(path)) if once else demux_plain(path)
    if plain is None:
        return None
    demuxed, codec = plain
    if once:  # that of the last time may have stopped at damage
        extradata, codec = codec.extradata, CodecContext.create(codec.name, "r")
        codec.extradata = extradata
    if not all(0 <= frame < len(demuxed.shown) for frame in wanted):
        return None
    pictures = selected_pictures(demuxed, codec, wanted)
    if codec.has_b_frames and demuxed.shown == sorted(demuxed.shown):
        return None  # pictures change places, but the file does not say how
    return pictures


def selected_pictures(
    demuxed: Demuxed, codec: CodecContext, wanted: Collection[int]
) -> dict[int, av.VideoFrame] | None:
    """The pictures of the wanted frames from the packets that they need; None where this cannot be or did not work."""
    if not demuxed.shown:
        return None
    _set_up(codec, strict=True)
    pictures = {}
    try:
        for run in demuxed.runs(wanted):
            pictures |= _decode_run(codec, demuxed, run)
    except (av.FFmpegError, _SelectionError):
        return None  # damage, or a stream that breaks a rule: decoding all will tell
    return pictures


def all_pictures(demuxed: Demuxed) -> Iterator[av.VideoFrame]:
    """All pictures of the file, in the order shown.

    Raises:
        VideoError: `damaged`.
    """
    path = demuxed.path
    with open_video(path) as container:
        stream = video_stream(path, container)
        # A file cut out of a longer one may begin with pictures whose references are gone. A decoder leaves these out;
        # only to a strict one they are damage.
        _set_up(stream.codec_context, strict=demuxed.starts_clean)
        try:
            packets, oriented = decodable(container.demux(stream)), LastingMatrix()
            for number, picture in enumerate(picture for packet in packets for picture in packet.decode()):
                if picture.is_corrupt:
                    raise damaged(path, f"frame {number} cannot be decoded in full")
                yield oriented(picture)
        except av.FFmpegError as error:
            raise damaged(path, error) from error


def _decode_run(codec: CodecContext, demuxed: Demuxed, run: Run) -> dict[int, av.VideoFrame]:
    """The wanted pictures of one run of packets, by frame number."""
    frame_at = {demuxed.facts[i].pts: frame for i, frame in run.wanted.items()}
    pictures, last = {}, None
    for packet in chain(demuxed.packets(run.packets), [None]):
        for picture in codec.decode(packet):
            if picture.is_corrupt or picture.pts is None or (last is not None and picture.pts <= last):
                raise _SelectionError
            last = picture.pts
            if last in frame_at:
                pictures[frame_at[last]] = picture
    codec.flush_buffers()  # the next run begins as if it were the first
    if len(pictures) < len(frame_at):
        raise _SelectionError
    return pictures


def _set_up(codec: CodecContext, strict: bool) -> None:
    """strict: the decoder stops at damage. One thread: decode workers are as many as there are cores."""
    codec.options = {"err_detect": "explode"} if strict else {}
    codec.thread_count = 1
