"""Files to take pieces from, and the same pieces as files of their own."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tests.helpers.media import write_video

RATE, AT_ONCE = 16000, 1600
"""Samples per second, and of one packet: a tenth of a second."""


def write_long(path: Path, seconds: float, *, fps: int = 25, codec: str = "h264", **options: str) -> Path:
    """A video with a random access point every second, and lossless stereo noise: MKV or MOV, or MP4 with AAC."""
    silent = write_video(
        path.with_name(f"{path.stem}_silent.mp4"),
        round(seconds * fps),
        fps=fps,
        codec=codec,
        options={"g": str(fps)} | options,
    )
    rng = np.random.default_rng(len(path.name))
    with av.open(str(silent)) as source, av.open(str(path), "w") as target:
        video = target.add_stream_from_template(source.streams.video[0])
        audio = target.add_stream("aac" if path.suffix == ".mp4" else "pcm_s16le", rate=RATE, layout="stereo")
        packets = [packet for packet in source.demux(video=0) if packet.size]
        for number in range(round(seconds * RATE / AT_ONCE)):
            noise = rng.normal(0, 3000, (1, 2 * AT_ONCE)).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(noise, format="s16", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = RATE, number * AT_ONCE, Fraction(1, RATE)
            packets += audio.encode(frame)
        packets += audio.encode(None)
        for packet in sorted(packets, key=lambda packet: float(packet.dts * packet.time_base)):
            packet.stream = video if packet.stream is source.streams.video[0] else audio
            target.mux(packet)
    silent.unlink()
    return path


def cut(source: Path, target: Path, start: float, end: float) -> Path:
    """The packets of a piece as a file whose clock begins with it; nothing is encoded."""
    return _rewrite(source, target, lambda time, kind: time - start if start <= time < end else None)


def delayed(
    source: Path, target: Path, video: float = 0.0, audio: float = 0.0, gap: tuple[float, float] = (0, 0)
) -> Path:
    """The same file with its tracks shown so many seconds later; without the audio in a gap."""

    def moved(time: float, kind: str) -> float | None:
        if kind == "audio":
            return None if gap[0] <= time < gap[1] else time + audio
        return time + video

    return _rewrite(source, target, moved)


def _rewrite(source: Path, target: Path, move: Callable[[float, str], float | None]) -> Path:
    with av.open(str(source)) as before, av.open(str(target), "w") as after:
        streams = [*before.streams.video, *before.streams.audio]
        copies = {stream.index: after.add_stream_from_template(stream) for stream in streams}
        for packet in before.demux(streams):
            if not packet.size:
                continue
            time = move(round(float(packet.pts * packet.time_base), 6), packet.stream.type)
            if time is None:
                continue
            shift = round((time - float(packet.pts * packet.time_base)) / packet.time_base)
            packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
            packet.stream = copies[packet.stream.index]
            after.mux(packet)
    return target
