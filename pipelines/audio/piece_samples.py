"""The audio of pieces of a file, each decoded as if the file were cut there."""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import numpy as np

from pipelines.audio.clock import Tape
from pipelines.audio.decode import AudioError, Piece
from pipelines.audio.entry import AudioEntries, audio_entries
from pipelines.audio.read import NoAudioError, audio_pieces, read_audio

LONGEST_SILENCE = 600.0
"""Seconds that a piece may go on behind the audio of its file: a list may hold any number."""
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
    there without encoding, each is decoded anew from the random access point before it, where there is one; else from
    the beginning of the file on, once for all pieces.
    """

    def __init__(self, source: str | Path) -> None:
        self.last = 0.0
        """Start of the latest piece."""
        self._source = source
        self._tape, self._pieces = Tape(), _from_the_beginning(source)

    def samples(self, part: Part) -> tuple[np.ndarray, int]:
        """See `piece_samples`."""
        self.last = part[0]
        with suppress(AudioError, OverflowError):
            tape = Tape()
            played = _played(tape, self._entries.pieces(*part) if self._entries else iter(()), part)
            if tape.rate:
                return played
        return _played(self._tape, self._pieces, part)

    @cached_property
    def _entries(self) -> AudioEntries | None:
        return audio_entries(self._source)


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


def _from_the_beginning(source: str | Path) -> Iterator[Piece]:
    if os.path.splitext(source)[1].lower() != ".wav" and not os.path.isdir(source):
        yield from audio_pieces(source, of_original=True)
        return
    with suppress(NoAudioError):
        audio, rate = read_audio(source)
        yield Piece(audio, rate, 0.0)
