"""The audio of a video on its way into an MP4 file: packet by packet, decoded only where MP4 cannot hold its format."""

import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer, OutputContainer

from pipelines.audio.clock import TOLERANCE
from pipelines.audio.decode import FULL_SCALE, audio_stream, decoded_pieces

COPIED = ("aac", "ac3", "alac", "eac3", "flac", "mp2", "mp3", "opus", "vorbis")
"""Formats (FFmpeg's names) that an MP4 file holds as they are. Of others, and of plain samples, FLAC keeps 16 bit."""
LOSSLESS = "flac"


def audio_start(path: str | Path, source: InputContainer) -> Fraction | None:
    """When the audio begins to play, in seconds on the clock of `source`; None: there is none.

    Raises:
        AudioError: see `audio_stream`.
    """
    stream = audio_stream(path, source)
    if stream is None:
        return None
    for packet in source.demux(stream):
        if packet.pts is not None:
            return packet.pts * packet.time_base + Fraction(_primed(packet), stream.rate or 1)
    return None


def _primed(packet: av.Packet) -> int:
    """Samples at the beginning of a packet that only start the decoder and are never played."""
    data = bytes(packet.get_sidedata("skip_samples")) if packet.has_sidedata("skip_samples") else b""
    return struct.unpack_from("<I", data)[0] if len(data) >= 4 else 0


def decoding_time(packet: av.Packet) -> Fraction:
    """When a packet of a file that is written is to be decoded, in seconds."""
    assert packet.dts is not None  # else no muxer would take it
    return packet.dts * packet.time_base


class AudioTrack:
    """The audio of one file, and a track for it in another."""

    def __init__(self, path: str | Path, source: InputContainer, target: OutputContainer, start: Fraction):
        """Add a track to `target` if `source`, the file `path`, has audio.

        start: time in seconds, on the clock of `source`, that becomes 0.

        Raises:
            AudioError: see `audio_stream`.
        """
        self.packets = 0  # passed on so far
        self._waiting: Iterator[av.Packet] = iter(())
        if stream := audio_stream(path, source):
            packets = _as_they_are if stream.codec_context.codec.canonical_name in COPIED else _encoded
            self._waiting = packets(source, stream, target, start)
        self._next = next(self._waiting, None)  # adds the track

    def until(self, seconds: float) -> Iterator[av.Packet]:
        """The packets that begin before this time and are not passed on yet."""
        while self._next is not None and decoding_time(self._next) < seconds:
            self.packets += self._next.size > 0  # the encoder of FLAC ends with one that is empty
            yield self._next
            self._next = next(self._waiting, None)


def _as_they_are(source, stream, target, start: Fraction) -> Iterator[av.Packet]:
    track = target.add_stream_from_template(stream)
    track.codec_context.codec_tag = "\0\0\0\0"  # other containers have other names for a format
    shift, last = round(start / stream.time_base), None
    for packet in source.demux(stream):
        if not packet.size or packet.dts is None:
            continue
        packet.dts -= shift
        packet.pts = packet.dts if packet.pts is None else packet.pts - shift
        if last is not None and packet.dts <= last:
            packet.pts = packet.dts = last + 1  # a muxer takes only times that grow
        last = packet.dts
        packet.stream = track
        yield packet


def _encoded(source, stream, target, start: Fraction) -> Iterator[av.Packet]:
    track, joined = None, 0
    late: list[tuple[int, int]] = []  # sample, and by how many samples all from there on are later
    for piece in decoded_pieces(source, stream):
        if track is None:
            track = target.add_stream(LOSSLESS, rate=piece.rate, layout=stream.layout)
        time = 0.0 if piece.time is None and not late else piece.time
        if time is not None:
            delay = round((time - float(start)) * piece.rate) - joined
            if not late or delay - late[-1][1] > TOLERANCE * piece.rate:
                late.append((joined, delay))
        samples = (piece.samples * FULL_SCALE).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples, format="s16p", layout=stream.layout)
        frame.sample_rate, frame.pts, frame.time_base = piece.rate, joined, Fraction(1, piece.rate)
        joined += frame.samples
        yield from _delayed(track.encode(frame), late)
    if track is not None:
        yield from _delayed(track.encode(None), late)


def _delayed(packets: list[av.Packet], late: list[tuple[int, int]]) -> Iterator[av.Packet]:
    """Packets of joined samples at the times of their first ones: gaps stay, but for less than a packet."""
    for packet in packets:
        if packet.pts is not None:
            packet.pts = packet.dts = packet.pts + [delay for begin, delay in late if begin <= packet.pts][-1]
        yield packet
