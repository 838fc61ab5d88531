"""The sound of the windows of a long video: decoded once, and no more than a window of it is kept."""

from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from pipelines.mel import SHORTEST_CUT, AudioImage, log_mel_columns, picture, silent_picture
from pipelines.sound import sound_pieces
from pipelines.windows import Span


def window_pictures(
    path: str | Path, spans: Sequence[Span], options: AudioImage, audio_segments: int
) -> Iterator[np.ndarray]:
    """The picture of each window's own sound, float32 (A, 3, H, W), as of a file that holds nothing else.

    A window behind the end of the sound, or with next to nothing of it (SHORTEST_CUT samples), is silent.

    Args:
        path: a video.
        spans: in the order of their starts.
        options, audio_segments: as for `pipelines.mel.log_mel_picture`.

    Raises:
        pipelines.sound.SoundError: the sound cannot be read.
    """
    pieces = sound_pieces(path)
    tape: deque[np.ndarray] = deque()  # samples `offset` to `end`, each piece (channels, samples)
    offset = end = rate = 0
    for span in spans:
        while not rate or end < span.end * rate:
            piece, rate = next(pieces, (None, rate))
            if piece is None:
                break
            tape.append(piece[:audio_segments])
            end += piece.shape[1]
        while tape and offset + tape[0].shape[1] <= span.start * rate:
            offset += tape.popleft().shape[1]
        start, stop = (round(min(seconds * max(rate, 1), end)) - offset for seconds in span)
        if not tape or stop - start < min(SHORTEST_CUT, end):
            yield silent_picture(options, audio_segments)
            continue
        sound = np.concatenate(tape, axis=1)[:, start:stop]
        yield picture(log_mel_columns(sound, rate, options), options, audio_segments)
