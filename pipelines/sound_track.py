"""The sound of a video on its way into an MP4 file: packet by packet, decoded only where MP4 cannot hold its format."""

import struct
from collections.abc import Iterator
from fractions import Fraction

import av
from av.container import InputContainer, OutputContainer

COPIED = ("aac", "ac3", "alac", "eac3", "flac", "mp2", "mp3", "opus", "vorbis")
"""Formats (FFmpeg's names) that an MP4 file holds as they are; of the others, and of plain samples, FLAC keeps all."""
LOSSLESS, LOSSLESS_FORMATS = "flac", ("s16", "s32")


def sound_start(source: InputContainer) -> Fraction | None:
    """When the sound begins to be heard, in seconds on the clock of `source`; None: there is none."""
    stream = source.streams.best("audio")
    for packet in source.demux(stream) if stream else ():
        if packet.pts is not None:
            return packet.pts * packet.time_base + Fraction(_primed(packet), stream.rate or 1)
    return None


def _primed(packet: av.Packet) -> int:
    """Samples at the beginning of a packet that only start the decoder and are never heard."""
    data = bytes(packet.get_sidedata("skip_samples")) if packet.has_sidedata("skip_samples") else b""
    return struct.unpack_from("<I", data)[0] if len(data) >= 4 else 0


class SoundTrack:
    """The sound of one file, and a track for it in another."""

    def __init__(self, source: InputContainer, target: OutputContainer, start: Fraction):
        """Add a track to `target` if `source` has sound.

        start: time in seconds, on the clock of `source`, that becomes 0.
        """
        self.packets = 0  # passed on so far
        self._waiting = _packets(source, target, start)
        self._next = next(self._waiting, None)  # adds the track

    def until(self, seconds: float) -> Iterator[av.Packet]:
        """The packets that begin before this time and are not passed on yet."""
        while self._next is not None and self._next.dts * self._next.time_base < seconds:
            self.packets += self._next.size > 0  # the encoder of FLAC ends with one that is empty
            yield self._next
            self._next = next(self._waiting, None)


def _packets(source: InputContainer, target: OutputContainer, start: Fraction) -> Iterator[av.Packet]:
    stream = source.streams.best("audio")
    if stream is None or stream.codec_context is None:
        return
    if stream.codec_context.codec.canonical_name in COPIED:
        track = target.add_stream_from_template(stream)
        track.codec_context.codec_tag = "\0\0\0\0"  # other containers have other names for a format
        yield from _as_they_are(source, stream, track, start)
    else:
        track = target.add_stream(LOSSLESS, rate=stream.rate, layout=stream.layout)
        yield from _encoded(source, stream, track, start)


def _as_they_are(source, stream, track, start: Fraction) -> Iterator[av.Packet]:
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


def _encoded(source, stream, track, start: Fraction) -> Iterator[av.Packet]:
    wide = stream.format is not None and stream.format.bits > 16
    resampler = av.AudioResampler(format=LOSSLESS_FORMATS[wide], layout=stream.layout, rate=stream.rate)
    shift = round(start * stream.rate)
    position = None  # samples
    for frame in source.decode(stream):
        for piece in resampler.resample(frame):
            if position is None:
                position = round((piece.pts or 0) * piece.time_base * stream.rate) - shift
            piece.pts, piece.time_base = position, Fraction(1, stream.rate)
            position += piece.samples
            yield from track.encode(piece)
    yield from track.encode(None)
