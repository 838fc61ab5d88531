"""Audio -> log-mel columns -> the spectrograms that the network gets.

Three windows look at the same audio: the shorter the window, the finer in time and the coarser in frequency. Their
log-mel spectrograms, resized to the size of a video frame, are the three color planes of one image.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import numpy as np
from annotated_types import Ge, Gt

from pipelines.audio.read import read_audio

if TYPE_CHECKING:
    from scipy.sparse import csr_array

N_FFT = 4800
"""Samples of each Fourier transform, at the audio's own rate."""

SHORTEST_CUT = 4800
"""A cut that would leave no more samples than this is not made (TSAM's rule; 0.1 s at 48 kHz)."""

KEPT_LENGTH = 4096  # columns: 40 s of the shortest hop
_BLOCK = 2048  # columns transformed at a time: bounds the memory that long audio takes

Milliseconds = Annotated[float, Gt(0)]
Pixels = Annotated[int, Ge(1)]


@dataclass(frozen=True, kw_only=True)
class AudioImage:
    """The log-mel spectrogram of the audio: section `data_augmentation.audio_image_param`."""

    window_sizes: tuple[Milliseconds, Milliseconds, Milliseconds] = (25.0, 50.0, 100.0)
    """Length of the window of each color plane, in milliseconds."""
    hop_sizes: tuple[Milliseconds, Milliseconds, Milliseconds] = (10.0, 25.0, 50.0)
    """Time from one column to the next in each color plane, in milliseconds."""
    n_mels: Annotated[int, Ge(1)] = 224
    """Mel bands from 0 Hz to half the sample rate."""
    eps: Annotated[float, Ge(1e-30)] = 1e-6
    """Added to the power of each band before the logarithm."""
    spec_size: tuple[Literal[3], Pixels, Pixels] = (3, 224, 224)
    """Color planes, height and width of the spectrogram."""
    num_segments: Annotated[int, Ge(1)] = 1
    """Overlapping pieces into which the audio is cut, each with a spectrogram of its own."""
    m_segments: Annotated[int, Ge(1)] = 1
    """Neighbouring pieces share 1/m_segments of their length; 1: every piece is all of the audio."""

    @property
    def silence(self) -> float:
        """What spectrograms hold where there is no audio."""
        return math.log(self.eps)


class Columns(NamedTuple):
    """The log-mel spectrograms of one audio track."""

    windows: list[np.ndarray]  # per window a float array (channels, n_mels, columns); column j is centred at j hops
    rate: int  # samples per second of the audio
    samples: int  # length of the audio


def log_mel_picture(wav_path: str | Path, options: AudioImage, audio_segments: int) -> np.ndarray:
    """The spectrograms of a .wav file or of a video's own audio, float32 (A, 3, H, W).

    A = audio_segments * num_segments, all pieces of the first channel before those of the second. One audio segment
    shows the first channel, two show left and right; audio of one channel is shown twice. Band 0 is the top row, time
    runs along the width.

    Raises:
        pipelines.audio.read.NoAudioError: the file has no audio.
        pipelines.audio.read.AudioError: the file cannot be read.
    """
    audio, rate = read_audio(wav_path)
    return spectrogram(log_mel_columns(audio[:audio_segments], rate, options), options, audio_segments)


def silent_spectrogram(options: AudioImage, audio_segments: int) -> np.ndarray:
    """The spectrograms of silence: log(eps) everywhere, float32 (A, 3, H, W)."""
    shape = (audio_segments * options.num_segments, *options.spec_size)
    return np.full(shape, options.silence, np.float32)


def log_mel_columns(audio: np.ndarray, rate: int, options: AudioImage) -> Columns:
    """Log-mel spectrograms of all channels for each window, float32.

    Each column is the power spectrum of a periodic Hann window that stands in the middle of N_FFT samples (of its own
    length, where that is longer: 100 ms above 48 kHz), in HTK's mel bands without normalisation; the audio is
    reflected at both ends. These are torchaudio's defaults for MelSpectrogram, so weights trained on its output fit.

    Args:
        audio: float32 (channels, samples), at least one sample; samples that are no longer than the reflection needs
            are reflected back and forth.
        rate: samples per second.
    """
    windows = [
        np.stack([log_mel(channel, rate, window, hop, options) for channel in audio])
        for window, hop in zip(options.window_sizes, options.hop_sizes, strict=True)
    ]
    return Columns(windows, rate, audio.shape[1])


def margin(window_ms: float, rate: int) -> int:
    """Samples before and behind the middle of a column that it may depend on."""
    return max(N_FFT, in_samples(window_ms, rate)) // 2


def log_mel(channel: np.ndarray, rate: int, window_ms: float, hop_ms: float, options: AudioImage) -> np.ndarray:
    """The columns of one channel for one window: (samples,) -> float32 (n_mels, 1 + samples // hop)."""
    import librosa  # takes a second: not for decode workers, which only read what is stored

    window, hop = in_samples(window_ms, rate), in_samples(hop_ms, rate)
    n_fft = max(N_FFT, window)
    padded = np.pad(channel, (n_fft // 2, n_fft - n_fft // 2), mode="reflect")  # some windows are of odd length
    num_columns = 1 + len(channel) // hop
    result = np.empty((options.n_mels, num_columns), np.float32)
    for start in range(0, num_columns, _BLOCK):
        stop = min(start + _BLOCK, num_columns)
        block = padded[start * hop : (stop - 1) * hop + n_fft]
        spectrum = librosa.stft(block, n_fft=n_fft, hop_length=hop, win_length=window, window="hann", center=False)
        result[:, start:stop] = _mel_filters(rate, n_fft, options.n_mels) @ np.abs(spectrum) ** 2
    return np.log(result + np.float32(options.eps))


@lru_cache(maxsize=1)
def first_spectrogram(options: "AudioImage") -> None:
    """Import all that spectrograms of audio need, which takes one or two seconds."""
    spectrogram(log_mel_columns(np.zeros((1, 96000), np.float32), 48000, options), options, 1)


@lru_cache(maxsize=8)
def _mel_filters(rate: int, n_fft: int, n_mels: int) -> np.ndarray:
    """Triangles of the mel bands over the bins of the transform, float32 (n_mels, 1 + n_fft // 2)."""
    import librosa

    return librosa.filters.mel(sr=rate, n_fft=n_fft, n_mels=n_mels, fmin=0.0, fmax=rate / 2, htk=True, norm=None)


def in_samples(milliseconds: float, rate: int) -> int:
    """A time in samples, at least one."""
    return max(1, round(milliseconds * rate / 1000))


def spectrogram(
    columns: Columns, options: AudioImage, audio_segments: int, cut: tuple[float, float] = (0.0, 0.0)
) -> np.ndarray:
    """Log-mel columns -> float32 (A, 3, H, W), as in `log_mel_picture`.

    The columns are cut, not the audio before them as TSAM does. So a cut begins at the nearest column of the longest
    hop (every 50 ms), where TSAM's begins at any sample; then only the columns within half a window of a cut differ:
    they look beyond it, where TSAM's see the reflected end of the piece. Pieces begin where TSAM's do, up to half a hop
    aside of their columns. Hops that do not divide the longest one are also up to half a hop aside.

    Args:
        columns: of at least one channel, float16 or float32.
        cut: seconds left out at the start and at the end, unless that would leave next to nothing.
    """
    longest = max(in_samples(hop_ms, columns.rate) for hop_ms in options.hop_sizes)
    first = round(cut[0] * columns.rate / longest) * longest
    last = columns.samples - round(cut[1] * columns.rate)
    if last - first <= SHORTEST_CUT:
        first, last = 0, columns.samples
    spans = [
        (first + start, first + stop) for start, stop in pieces(last - first, options.num_segments, options.m_segments)
    ]
    channels = min(audio_segments, len(columns.windows[0]))
    shown = np.empty((audio_segments, options.num_segments, *options.spec_size), np.float32)
    for plane, (spectrum, hop_ms) in enumerate(zip(columns.windows, options.hop_sizes, strict=True)):
        hop = in_samples(hop_ms, columns.rate)
        for piece, (start, stop) in enumerate(spans):
            place = columns_of(start, stop, hop, spectrum.shape[-1])
            for channel in range(channels):
                shown[channel, piece, plane] = _resized(spectrum[channel, :, place], options.spec_size[1:])
    shown[channels:] = shown[channels - 1]  # one channel only: shown twice
    return shown.reshape(-1, *options.spec_size)  # (segments, pieces, 3, H, W) -> (A, 3, H, W)


def pieces(samples: int, num_segments: int, m_segments: int) -> Iterator[tuple[int, int]]:
    """The sample ranges [start, stop) of an audio track's overlapping pieces, as TSAM cuts them.

    12 samples, num_segments 2, m_segments 2: pieces of 8 samples that share 4, [0, 8) and [4, 12).
    """
    length = m_segments * samples // (m_segments * num_segments + 1 - num_segments)
    step = length - length // m_segments
    return ((i * step, i * step + length) for i in range(num_segments))


def columns_of(start: int, stop: int, hop: int, num_columns: int) -> slice:
    """Columns of the samples [start, stop): as many as a transform of these samples alone would have."""
    first = min(round(start / hop), num_columns - 1)
    return slice(first, min(first + 1 + (stop - start) // hop, num_columns))


def _resized(plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(n_mels, columns) -> float32 (H, W): bilinear with antialias, as torch and torchvision compute it."""
    bands, height = (widened(plane) if plane.dtype == np.float16 else plane), size[0]
    resized = _weights(plane.shape[1], size[1]) @ np.ascontiguousarray(bands.T, np.float32)  # (W, n_mels)
    if plane.shape[0] == height:
        return resized.T
    return _weights(plane.shape[0], height) @ np.ascontiguousarray(resized.T)


def _weights(length: int, size: int) -> "csr_array":
    """Kept for clips, whose cuts leave many lengths; not for long audio: those of an hour take 6 MB."""
    return _kept_weights(length, size) if length <= KEPT_LENGTH else _resize_weights(length, size)


def _resize_weights(length: int, size: int) -> "csr_array":
    """What each of `size` points takes from each of `length`, float32 (size, length): triangles as wide as two points,
    or as two of what is resized where that is wider. A quarter of the time of Pillow's resize, which takes one number
    after the other.
    """
    from scipy.sparse import csr_array  # not for those who see no spectrograms: takes a tenth of a second

    scale = length / size
    support = max(scale, 1.0)
    centres = (np.arange(size) + 0.5)[:, None] * scale
    places = np.maximum(np.ceil(centres - support - 0.5).astype(int), 0) + np.arange(math.ceil(2 * support))
    weights = np.maximum(0, 1 - np.abs(places + 0.5 - centres) / support) * (places < length)
    weights /= weights.sum(axis=1, keepdims=True)
    ends = np.arange(size + 1, dtype=np.int32) * places.shape[1]
    places = np.minimum(places, length - 1).astype(np.int32)
    return csr_array((weights.astype(np.float32).ravel(), places.ravel(), ends), shape=(size, length))


_kept_weights = lru_cache(maxsize=512)(_resize_weights)


def widened(half: np.ndarray) -> np.ndarray:
    """Finite numbers of float16 as float32, several times as fast as numpy's own conversion.

    Sign, exponent and fraction are put into their places, and a product with a power of two mends the exponent.
    """
    bits = half.view(np.int16).astype(np.int32)
    bits <<= 13
    bits &= -0x70002000  # the sign was spread over the bits above the exponent
    wide = bits.view(np.float32)
    wide *= np.float32(2.0**112)
    return wide
