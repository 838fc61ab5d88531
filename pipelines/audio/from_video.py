"""The audio of videos straight from their files, in place of the log-mel store: of a whole file, or of each window of a
long one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock

import numpy as np

from pipelines.audio.clock import Tape
from pipelines.audio.log_mel import AudioImage, log_mel_columns, silent_spectrogram, spectrogram
from pipelines.audio.long import LongAudio, long_audio, long_spectrogram
from pipelines.audio.mel_pieces import as_stored
from pipelines.audio.piece_samples import Part, PieceReader
from pipelines.audio.read import audio_pieces
from pipelines.audio.stretch import columns_in, stretch_columns
from pipelines.files import storage
from pipelines.sampling.windows import Span


@dataclass(frozen=True)
class FileAudio:
    """Stands where `pipelines.audio.mel_store.MelStore` does, for clips whose id is the path of their file. Plain data:
    it travels to the decode workers."""

    options: AudioImage

    def spectrogram(
        self,
        path: str,
        audio_segments: int,
        cut: tuple[float, float] = (0.0, 0.0),
        part: tuple[float, float] | None = None,
        stretch: tuple[float, float] | None = None,
    ) -> np.ndarray:
        """The spectrograms of a video's own audio, float32 (A, 3, H, W); silence where it has none. Those of a piece
        are what the store would give.

        Args:
            path: the file.
            audio_segments: 1 for the first channel, 2 for left and right.
            cut: of training; here none.
            part: start and end of a piece of the file, in seconds on its clock. Pieces that are asked for in the order
                of their starts are read in one go.
            stretch: start and end of a part of the audio, see `pipelines.audio.stretch`; default: all of it.

        Raises:
            pipelines.audio.read.AudioError: the audio cannot be read.
        """
        if cut != (0.0, 0.0):
            raise ValueError(f"cut {cut}: expected none, as all audio of a file is used")
        if part:
            columns = as_stored(*_piece_samples(path, part), self.options, audio_segments)
            if columns and stretch:
                columns = columns_in(columns, self.options, stretch)
            if columns is None:
                return silent_spectrogram(self.options, audio_segments)
            return spectrogram(columns, self.options, audio_segments)
        with long_audio(audio_pieces(path), audio_segments) as audio:
            if audio is None:
                return silent_spectrogram(self.options, audio_segments)
            if stretch:
                return _of_stretch(audio, self.options, audio_segments, stretch)
            return long_spectrogram(audio, self.options, audio_segments)


def _of_stretch(audio: LongAudio, options: AudioImage, audio_segments: int, stretch: tuple[float, float]) -> np.ndarray:
    def take(window: int, first: int, stop: int) -> np.ndarray:
        how = options.window_sizes[window], options.hop_sizes[window], options
        return np.stack([audio.columns(channel, first, stop, *how) for channel in range(audio.channels)])

    columns = stretch_columns(take, audio.rate, audio.samples, options, stretch)
    if columns is None:
        return silent_spectrogram(options, audio_segments)
    return spectrogram(columns, options, audio_segments)


def _piece_samples(path: str, part: Part) -> tuple[np.ndarray, int]:
    state = storage.state(path)
    with _one_at_a_time:
        if _reader(path, state).last > part[0]:
            _reader.cache_clear()
        try:
            return _reader(path, state).samples(part)
        except BaseException:
            _reader.cache_clear()  # it would go on as if the audio ended here
            raise


_one_at_a_time = Lock()  # clips are read in threads, see `pipelines.thread_loader`


@lru_cache(maxsize=1)
def _reader(path: str, _state: storage.State) -> PieceReader:
    return PieceReader(path)


def window_spectrograms(
    path: str | Path,
    spans: Sequence[Span],
    options: AudioImage,
    audio_segments: int,
    first_frame: float | None = None,
    overhang: float = 0.0,
) -> Iterator[np.ndarray]:
    """The spectrograms of the audio that belongs to the frames of each window, float32 (A, 3, H, W).

    There is silence where nothing was recorded: before audio that begins late, in its gaps, behind its end.

    Args:
        path: a video.
        spans: in the order of their starts.
        options, audio_segments: as for `pipelines.mel.log_mel_picture`.
        first_frame: when the first frame is shown, in seconds on the clock of the file; None: when the audio begins.
        overhang: seconds of audio behind the end of a window that still belong to it.

    Raises:
        pipelines.audio.read.AudioError: the audio cannot be read.
    """
    tape, pieces = Tape(), audio_pieces(path)
    for span in spans:
        start, end = span
        if first_frame is not None:
            start, end = start + first_frame, end + first_frame
        while not tape.rate or tape.end < end + overhang:
            piece = next(pieces, None)
            if piece is None:
                break
            if first_frame is None:
                first_frame = piece.time or 0.0
                start, end = start + first_frame, end + first_frame
            tape.add(piece)
        tape.forget(start)
        audio = tape.cut(start, max(end, min(tape.end, end + overhang)))
        if not audio.any():
            yield silent_spectrogram(options, audio_segments)
            continue
        yield spectrogram(log_mel_columns(audio[:audio_segments], tape.rate, options), options, audio_segments)
