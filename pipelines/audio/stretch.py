"""The log-mel columns of a stretch of a clip's audio, for dense sampling."""

from collections.abc import Callable

import numpy as np

from pipelines.audio.clock import TOLERANCE
from pipelines.audio.log_mel import AudioImage, Columns, in_samples

Take = Callable[[int, int, int], np.ndarray]
"""Number of a window, first column and the one behind the last -> these columns, (channels, n_mels, columns)."""


def columns_in(columns: Columns, options: AudioImage, stretch: tuple[float, float]) -> Columns | None:
    """The columns of a stretch of the audio that `columns` hold; see `stretch_columns`."""
    return stretch_columns(
        lambda window, first, stop: columns.windows[window][..., first:stop],
        columns.rate,
        columns.samples,
        options,
        stretch,
    )


def stretch_columns(
    take: Take, rate: int, samples: int, options: AudioImage, stretch: tuple[float, float]
) -> Columns | None:
    """The columns of a stretch; None where nothing was recorded in it.

    They are those of the whole audio, so the ones at its ends look beyond it. It begins at the nearest column of the
    longest hop. Columns of silence stand before the audio and behind it; less than a tenth of a second of these at an
    end is left out.

    Args:
        take: gives columns of the whole audio.
        rate: samples a second.
        samples: length of the whole audio.
        options: how the columns were made.
        stretch: start and end in seconds from the first sample, which may lie outside of the audio.
    """
    longest = max(in_samples(hop_ms, rate) for hop_ms in options.hop_sizes)
    first, stop = (round(second * rate) for second in stretch)
    if stop <= 0 or first >= samples:
        return None
    short = TOLERANCE * rate
    if -short < first < 0:
        first = 0
    if samples < stop < samples + short:
        stop = samples
    first = round(first / longest) * longest
    windows = []
    for window, hop_ms in enumerate(options.hop_sizes):
        hop = in_samples(hop_ms, rate)
        begin = round(first / hop)
        end = begin + 1 + max(0, stop - first) // hop
        there = max(begin, 0), min(end, 1 + samples // hop)
        if there[0] >= there[1]:
            return None
        around = (0, 0), (0, 0), (there[0] - begin, end - there[1])
        windows.append(np.pad(take(window, *there), around, constant_values=np.log(options.eps)))
    return Columns(windows, rate, max(1, stop - first))
