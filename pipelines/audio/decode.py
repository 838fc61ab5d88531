"""The audio in an open file: which of its tracks is played, and its samples with the times at which they are."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import av
import av.logging
import numpy as np
from av.container import InputContainer

FULL_SCALE = 2**15  # of the 16 bit that a .wav file extracted by ffmpeg has


class AudioError(ValueError):
    """The file, or the audio in it, cannot be read."""


class Piece(NamedTuple):
    """Some of an audio track."""

    samples: np.ndarray  # float32 (channels, samples), of which the largest and smallest are those of 16 bit
    rate: int  # samples per second
    time: float | None  # of the first sample, in seconds on the clock of the file; None: right after those before


def audio_stream(path: object, container: InputContainer) -> av.AudioStream | None:
    """The track that is used, of those that can be decoded: as the ffmpeg program chooses, a default one, else the one
    with the most channels, else the first; None where there is no audio.

    Raises:
        AudioError: there is audio, but no decoder for any of it.
    """
    tracks, default = container.streams.audio, av.stream.Disposition.default
    decodable = [track for track in tracks if track.codec_context is not None and track.rate]
    if decodable:
        return max(decodable, key=lambda track: (bool(track.disposition & default), track.channels))
    if any(track.codec_context is None for track in tracks):
        remedy = "convert it to AAC, or put a .wav into dir_audios"
        raise AudioError(f"{path}: the audio cannot be read (no decoder for {_codecs(container)}); {remedy}")
    return None


def _codecs(container: InputContainer) -> str:
    """What the file calls the formats of its audio; FFmpeg names them in its description of the file only."""
    level = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)
    try:
        described = container.dumps_format()  # type: ignore[attr-defined]  # PyAV's stubs lack it
    finally:
        av.logging.set_level(level)
    formats = re.findall(r"^ *Stream #.*: Audio: (.*?)(?: / 0x|,|$)", described, re.MULTILINE)
    names = dict.fromkeys(name.removeprefix("none (") for name in formats if name != "none")
    return ", ".join(names) or "its format"


class Converter:
    """Decoded frames -> samples as a .wav of 16 bit would hold them, at the rate and channels that the audio begins
    with, whatever it changes to on the way."""

    def __init__(self) -> None:
        self._layout: av.AudioLayout | None = None
        self._rate = 0
        self._resampler: av.AudioResampler | None = None
        self._kind: tuple[str, str, int] | None = None  # of the frames that the resampler takes

    def pieces(self, frame: av.AudioFrame | None) -> Iterator[Piece]:
        """The samples of a frame; None: those that are left at the end."""
        kind = None if frame is None else (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._resampler and kind != self._kind:
            yield from self._converted(self._resampler, None, None)
            self._resampler = None
        if frame is None:
            return
        if self._resampler is None:
            # Of the frame, not of the container: for some AAC streams the container names half the rate.
            self._layout, self._rate = self._layout or frame.layout, self._rate or frame.sample_rate
            self._resampler = av.AudioResampler(format="s16p", layout=self._layout, rate=self._rate)
            self._kind = kind
        yield from self._converted(self._resampler, frame, frame.time)

    def _converted(
        self, resampler: av.AudioResampler, frame: av.AudioFrame | None, time: float | None
    ) -> Iterator[Piece]:
        for converted in resampler.resample(frame):
            yield Piece(converted.to_ndarray().astype(np.float32) / FULL_SCALE, self._rate, time)
            time = None


Packets = Iterable[av.Packet]
Decode = Callable[[av.Packet], list[av.AudioFrame]]


def decoded_pieces(
    container: InputContainer, stream: av.AudioStream, packets: Packets | None = None, decode: Decode = av.Packet.decode
) -> Iterator[Piece]:
    """All of a track, or of some packets of it, that can be decoded; raises the last packet's FFmpegError if nothing
    can."""
    converter, end = Converter(), _end(container, stream)
    for frame in _frames(container.demux(stream) if packets is None else packets, decode):
        rest = None
        if end is not None and frame.pts is not None and frame.time_base is not None:
            rest = round((end - frame.pts) * frame.time_base * frame.sample_rate)
        for piece in converter.pieces(frame):
            if rest is not None and 0 < rest < piece.samples.shape[1]:
                piece = piece._replace(samples=piece.samples[:, :rest])
            yield piece
    yield from converter.pieces(None)


def _end(container: InputContainer, stream: av.AudioStream) -> int | None:
    """Where an MP4 file says that its audio ends, within the last frame, which its encoder had to fill.

    The ffmpeg program heeds that from version 8 on (not of fragments, of audio that begins late, and of Opus), its
    libraries here do not.
    """
    known = {"mov", "mp4"} & set(container.format.name.split(",")) and stream.frames and stream.start_time == 0
    return stream.duration if known and stream.codec_context.codec.canonical_name != "opus" else None


def _frames(packets: Packets, decode: Decode) -> Iterator[av.AudioFrame]:
    """The frames of all packets that can be decoded; raises the last packet's error if none can."""
    decoded, failure = False, None
    for packet in packets:
        try:
            frames = decode(packet)
        except av.FFmpegError as error:  # decoders have error numbers of their own
            failure = error
            continue
        decoded = decoded or bool(frames)
        yield from frames
    if failure is not None and not decoded:
        raise failure
