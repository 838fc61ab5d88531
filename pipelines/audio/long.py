"""The log-mel spectrogram of audio of any length, in bounded memory: part by part, from samples in a temporary file.

It equals that of `pipelines.audio.log_mel.spectrogram`, but for the rounding of sums.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from tempfile import SpooledTemporaryFile
from typing import IO

import numpy as np
from PIL import Image

from pipelines.audio.decode import Piece
from pipelines.audio.log_mel import AudioImage, columns_of, in_samples, log_mel, margin, pieces

IN_MEMORY = 1 << 26
"""Bytes of samples that are kept in memory: three minutes of stereo at 48 kHz. Longer audio lies in a file."""
PART, PART_SAMPLES = 1024, 1 << 21
"""Columns that are computed at a time, and samples that they may span."""


class LongAudio:
    """An audio track on disk: `samples` of one or more channels, `rate` a second."""

    def __init__(self, file: IO[bytes], channels: int, samples: int, rate: int):
        self._file, self.channels, self.samples, self.rate = file, channels, samples, rate

    def read(self, channel: int, start: int, stop: int) -> np.ndarray:
        """Samples [start, stop) of a channel, float32."""
        self._file.seek(4 * self.channels * start)
        content = self._file.read(4 * self.channels * (stop - start))
        return np.frombuffer(content, np.float32).reshape(-1, self.channels)[:, channel]

    def columns(self, channel: int, first: int, stop: int, window_ms: float, hop_ms: float, options: AudioImage):
        """Log-mel columns [first, stop) of a channel, float32 (n_mels, stop - first): those of the whole audio."""
        hop = in_samples(hop_ms, self.rate)
        around = -(-margin(window_ms, self.rate) // hop)  # columns that see what is reflected at the ends of a part
        begin, end = max(0, first - around), stop + around
        part = self.read(channel, begin * hop, min(self.samples, end * hop))
        found = log_mel(part, self.rate, window_ms, hop_ms, options)
        return found[:, first - begin : stop - begin]


@contextmanager
def long_audio(parts: Iterable[Piece], channels: int) -> Iterator[LongAudio | None]:
    """The audio that comes in parts, joined whatever their times; the first `channels` are kept. None where there is no
    sample."""
    kept = samples = rate = 0
    with SpooledTemporaryFile(IN_MEMORY) as file:
        for part in parts:
            kept, rate = min(channels, len(part.samples)), part.rate
            samples += part.samples.shape[1]
            file.write(np.ascontiguousarray(part.samples[:channels].T).data)
        yield LongAudio(file, kept, samples, rate) if samples else None


def long_spectrogram(audio: LongAudio, options: AudioImage, audio_segments: int) -> np.ndarray:
    """float32 (A, 3, H, W), as `pipelines.mel.log_mel_picture`."""
    channels = min(audio_segments, audio.channels)
    shown = np.empty((audio_segments, options.num_segments, *options.spec_size), np.float32)
    for plane, (window_ms, hop_ms) in enumerate(zip(options.window_sizes, options.hop_sizes, strict=True)):
        hop = in_samples(hop_ms, audio.rate)
        for piece, span in enumerate(pieces(audio.samples, options.num_segments, options.m_segments)):
            place = columns_of(*span, hop, 1 + audio.samples // hop)
            for channel in range(channels):
                how = (window_ms, hop_ms, options)
                shown[channel, piece, plane] = _resized(audio, channel, place, how)
    shown[channels:] = shown[channels - 1]  # one channel only: shown twice
    return shown.reshape(-1, *options.spec_size)  # (segments, pieces, 3, H, W) -> (A, 3, H, W)


def _resized(audio: LongAudio, channel: int, place: slice, how: tuple[float, float, AudioImage]) -> np.ndarray:
    """The columns at `place` resized to (H, W), a strip at a time; strips share the columns at their edges."""
    _, hop_ms, options = how
    _, height, width = options.spec_size
    scale = (place.stop - place.start) / width
    reach = int(max(scale, 1)) + 2  # columns on either side that Pillow's filter takes in
    step = max(1, int(min(PART, PART_SAMPLES / in_samples(hop_ms, audio.rate)) / scale))
    first, held, strips = place.start, np.empty((options.n_mels, 0), np.float32), []
    for left in range(0, width, step):
        right = min(left + step, width)
        begin, end = first, first + held.shape[1]
        first = max(begin, place.start + int(left * scale) - reach)
        stop = min(place.stop, place.start + int(right * scale) + reach + 1)
        new = audio.columns(channel, end, stop, *how) if stop > end else held[:, :0]
        held = np.concatenate([held[:, first - begin :], new], axis=1)
        x0, x1 = (min(place.start + edge * scale - first, held.shape[1]) for edge in (left, right))
        strip = Image.fromarray(held).resize(
            (right - left, height), Image.Resampling.BILINEAR, box=(x0, 0, x1, len(held))
        )
        strips.append(np.asarray(strip))
    return np.concatenate(strips, axis=1)
