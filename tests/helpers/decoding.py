"""Streams of many kinds, and how tests see that the right pictures come out of them."""

from pathlib import Path

import av
import numpy as np
import pytest

from pipelines.decode import decode_frames
from pipelines.decode.demux import Demuxed
from pipelines.decode.frames import VideoError, VideoInfo, probe
from pipelines.decode.reader import VideoReader

X265 = "log-level=none:pools=none:frame-threads=1"
CLOSED, OPEN = {"g": "10"}, {"bf": "3", "x264-params": "keyint=12:open-gop=1:scenecut=0:b-adapt=0"}


def x264(settings: str, **options: str) -> dict[str, str]:
    return {"x264-params": settings} | options


def x265(settings: str) -> dict[str, str]:
    return {"x265-params": f"{X265}:{settings}"}


def full_decode(path: Path) -> list[np.ndarray]:
    """Every frame of a file as RGB, by PyAV alone; a turn lasts, as in the ffmpeg program."""
    frames, rotation = [], 0
    with av.open(str(path)) as container:
        for frame in container.decode(container.streams.video[0]):
            full = "JPEG" if frame.color_range == 2 else "MPEG"
            pixels = frame.to_ndarray(format="rgb24", src_colorspace="ITU601", src_color_range=full)
            rotation = frame.rotation or rotation
            frames.append(np.rot90(pixels, rotation // 90))
    return frames


def check(path: Path, rounds: int = 12) -> VideoInfo:
    """The frames of the file and its count agree with a full decode."""
    reference, info = full_decode(path), probe(path)
    assert info.frames == len(reference)
    assert (info.height, info.width) == reference[0].shape[:2]
    rng = np.random.default_rng(0)
    for _ in range(rounds):
        frames = rng.integers(0, len(reference), rng.integers(1, 6))
        np.testing.assert_array_equal(decode_frames(path, frames), np.stack([reference[i] for i in frames]))
    with pytest.raises(VideoError, match=f"has {len(reference)} frame") as error:
        decode_frames(path, [0, len(reference)])
    assert error.value.status == "short"
    with pytest.raises(VideoError, match="frame -1"):
        decode_frames(path, [-1])
    return info


def selected(path: Path, frames: set[int]) -> dict[int, av.VideoFrame] | None:
    """The wanted frames from the packets that they need, without help by a full decode."""
    with VideoReader(path) as video:
        return video.selected(frames)


def demuxed(path: Path) -> Demuxed:
    with VideoReader(path) as video:
        return video.demuxed


def rewrite(path, parts, change=lambda part, number, packet: (bytes(packet), packet.pts)):
    """The packets of some files one after another; change: (data, pts) of a packet, or None to drop it."""
    sources = [av.open(str(part)) for part in parts]
    with av.open(str(path), "w") as target:
        copy, base = target.add_stream_from_template(sources[0].streams.video[0], opaque=True), 0
        for part, source in enumerate(sources):
            packets = [packet for packet in source.demux(video=0) if packet.size]
            shift = base - packets[0].dts
            for number, packet in enumerate(packets):
                changed = change(part, number, packet)
                if changed is not None:
                    new = av.Packet(changed[0])
                    new.stream, new.time_base, new.duration = copy, packet.time_base, packet.duration
                    new.dts, new.pts, new.is_keyframe = packet.dts + shift, changed[1] + shift, packet.is_keyframe
                    target.mux(new)
                base = packet.dts + shift + packet.duration
        for source in sources:
            source.close()
    return path
