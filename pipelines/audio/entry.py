"""Entering the audio of a video in its middle, as a file would begin that is cut there without encoding."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import av
from av.container import InputContainer

from pipelines.audio.clock import TOLERANCE, copy_start
from pipelines.audio.decode import Decode, Piece, audio_stream, decoded_pieces
from pipelines.audio.read import open_audio, reading
from pipelines.files.formats import demuxer_of

INDEXED = ("mp4", "mov", "matroska")
"""Demuxers of files with an index of times."""
LEAD = 30.0
"""Seconds: where no random access point is so near before a time, the audio is not entered."""
ROUNDED = 0.001
"""Seconds by which a time may be too early: those of many lists are rounded to thousandths."""
_SKIP: Final = "skip_samples"


def audio_entries(path: str | Path) -> "AudioEntries | None":
    """Open a video to enter its audio; None where there is no audio, or the file has no index of times.

    Raises:
        AudioError: naming the file and the reason.
    """
    if demuxer_of(path) not in INDEXED:
        return None
    with reading(path):
        container = open_audio(path)
        stream = audio_stream(path, container)
        return AudioEntries(path, container, stream) if stream is not None else None


class AudioEntries:
    """An open video whose audio is decoded from its random access points; a training copy has its original's times."""

    def __init__(self, path: str | Path, container: InputContainer, stream: av.AudioStream) -> None:
        self._path, self._container, self._stream = path, container, stream
        self._later = copy_start(container.metadata)
        first = next(container.demux(stream))
        # The head of Matroska says how much to skip at the beginning of its audio, and so does that of a cut file.
        skips = demuxer_of(path) == "matroska" and first.has_sidedata(_SKIP)
        self._skip = first.get_sidedata(_SKIP) if skips else None

    def pieces(self, start: float, end: float) -> Iterator[Piece]:
        """The audio whose packets reach into the time from `start` to `end`; none where the file is not entered there:
        the random access point before is far away, or the beginning of the audio.

        Raises:
            AudioError: naming the file and the reason.
        """
        entered = False
        for piece in self._from_access_point(start):
            if piece.time is not None:
                entered = entered or self._is_near(piece.time, start)
                if not entered or piece.time >= end:
                    return
                if piece.time + piece.samples.shape[1] / piece.rate <= start:
                    continue
            yield piece

    def _is_near(self, time: float, start: float) -> bool:
        begin = (self._stream.start_time or 0) * float(self._stream.time_base or 0) + self._later
        return time > begin + TOLERANCE and -LEAD <= time - start <= TOLERANCE

    def _from_access_point(self, start: float) -> Iterator[Piece]:
        with reading(self._path):
            guide = self._container.streams.best("video") or self._stream
            self._container.seek(round((start - self._later + ROUNDED) / float(guide.time_base or 1)), stream=guide)
            for piece in decoded_pieces(self._container, self._stream, self._packets(), self._decoder()):
                yield piece if piece.time is None else piece._replace(time=piece.time + self._later)

    def _packets(self) -> Iterator[av.Packet]:
        for number, packet in enumerate(self._container.demux(self._stream)):
            if not number and self._skip is not None:
                packet.set_sidedata(self._skip)
            yield packet

    def _decoder(self) -> Decode:
        """A seek makes decoders forget what came before, but for the noise of AAC: that takes a new one."""
        known = self._stream.codec_context
        if known.codec.canonical_name != "aac":
            return av.Packet.decode
        new: Any = av.CodecContext.create(known.codec.name, "r")
        new.extradata, new.sample_rate, new.layout = known.extradata, known.sample_rate, known.layout
        return lambda packet: new.decode(packet if packet.size else None)
