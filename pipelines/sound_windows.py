"""The sound of the windows of a long video: decoded once, and no more than a window of it is kept."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from pipelines.mel import AudioImage, log_mel_columns, picture, silent_picture
from pipelines.sampling.windows import Span
from pipelines.sound import sound_pieces
from pipelines.sound_clock import Tape


def window_pictures(
    path: str | Path,
    spans: Sequence[Span],
    options: AudioImage,
    audio_segments: int,
    first_frame: float | None = None,
    overhang: float = 0.0,
) -> Iterator[np.ndarray]:
    """The picture of the sound that is heard while the frames of each window are shown, float32 (A, 3, H, W).

    It is silent where nothing was recorded: before a sound that begins late, in its gaps, behind its end.

    Args:
        path: a video.
        spans: in the order of their starts.
        options, audio_segments: as for `pipelines.mel.log_mel_picture`.
        first_frame: when the first frame is shown, in seconds on the clock of the file; None: when the sound begins.
        overhang: seconds for which a sound that goes on behind the end of a window is still heard.

    Raises:
        pipelines.sound.SoundError: the sound cannot be read.
    """
    tape, pieces = Tape(), sound_pieces(path)
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
        sound = tape.cut(start, max(end, min(tape.end, end + overhang)))
        if not sound.any():
            yield silent_picture(options, audio_segments)
            continue
        yield picture(log_mel_columns(sound[:audio_segments], tape.rate, options), options, audio_segments)
