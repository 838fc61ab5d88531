"""The audio of pieces of a file, each decoded as if the file were cut there."""

import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

import numpy as np

from pipelines.audio.clock import TOLERANCE, Tape
from pipelines.audio.decode import AudioError, Piece
from pipelines.audio.read import NoAudioError, audio_pieces, read_audio

LONGEST_SILENCE = 600.0
"""Seconds that a piece may go on behind the audio of its file: a list may hold any number."""
LEAD = 30.0
"""Seconds before a piece that are decoded for it at most; where a file cannot be entered so near, it is read from its
beginning."""
Part = tuple[float, float]
"""Start and end of a piece, in seconds on the clock of its file."""


def piece_samples(source: str | Path, parts: Sequence[Part]) -> Iterator[tuple[np.ndarray, int]]:
    """What is played in each piece, float32 (channels, samples), and its rate; no samples where nothing was recorded.

    There is silence where audio begins late, pauses or ends early, but for less than a tenth of a second at the ends of
    a piece, and at most ten minutes behind the audio of the file, whatever a list says.

    Args:
        source: a video, or a .wav file, whose clock begins at 0.
        parts: in the order of their starts.
    """
    reader = PieceReader(source)
    return (reader.samples(part) for part in parts)


class PieceReader:
    """Reads the audio of pieces of a file in the order of their starts.

    A decoder of lossy audio remembers what it has decoded, and how much. So that a piece sounds as a file that was cut
    there without encoding, each is decoded by a decoder of its own, from the random access point before it.
    """

    def __init__(self, source: str | Path) -> None:
        self.last = 0.0
        """Start of the latest piece."""
        self._source = source
        self._tape, self._pieces = Tape(), _from_the_beginning(source)

    def samples(self, part: Part) -> tuple[np.ndarray, int]:
        """See `piece_samples`."""
        self.last = part[0]
        with closing(_from_nearby(self._source, part)) as pieces, suppress(AudioError):
            tape = Tape()
            played = _played(tape, pieces, part)
            if tape.rate:
                return played
        return _played(self._tape, self._pieces, part)


def _played(tape: Tape, pieces: Iterator[Piece], part: Part) -> tuple[np.ndarray, int]:
    """What is played in a piece, for which as much is read as it needs."""
    start, end = part
    while not tape.rate or tape.end < end:
        if (piece := next(pieces, None)) is None:
            end = min(end, tape.end + LONGEST_SILENCE)
            break
        tape.add(piece)
        tape.forget(start)
    tape.forget(start)
    return tape.recorded(start, end), tape.rate


def _from_nearby(source: str | Path, part: Part) -> Generator[Piece, None, None]:
    """The audio that belongs to a piece, of that from shortly before it on; none where the file cannot be entered
    there."""
    start, end = part
    near = False
    for piece in audio_pieces(source, of_original=True, start=start) if _is_video(source) else ():
        if piece.time is not None:
            near = near or -LEAD <= piece.time - start <= TOLERANCE
            if not near or piece.time >= end:
                return
            if piece.time + piece.samples.shape[1] / piece.rate <= start:
                continue
        yield piece


def _from_the_beginning(source: str | Path) -> Generator[Piece, None, None]:
    if _is_video(source):
        yield from audio_pieces(source, of_original=True)
        return
    with suppress(NoAudioError):
        audio, rate = read_audio(source)
        yield Piece(audio, rate, 0.0)


def _is_video(source: str | Path) -> bool:
    return os.path.splitext(source)[1].lower() != ".wav" and not os.path.isdir(source)
