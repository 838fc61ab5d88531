"""TSAM's log-mel spectrogram on the fly: torchaudio's MelSpectrogram, written with torch."""

import math
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile
import torch
import torch.nn.functional as F
from torch import Tensor

from pipelines.audio.log_mel import N_FFT, SHORTEST_CUT, AudioImage

Filters = Callable[[int, int, int], Tensor]
"""Sample rate, samples of a transform, mel bands -> (bands, bins)."""


def log_mel(path: Path, options: AudioImage, cut: tuple[float, float], filters: Filters) -> Tensor:
    """The log-mel spectrogram of the first channel of a .wav file, cut before it is transformed: float32 (1, 3, H, W).

    See `pipelines.audio.log_mel.log_mel_columns` for what is computed.
    """
    audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
    first, last = round(cut[0] * rate), len(audio) - round(cut[1] * rate)
    if last - first > SHORTEST_CUT:
        audio = audio[first:last]
    channel = torch.from_numpy(np.ascontiguousarray(audio[:, 0]))
    planes = []
    for window_ms, hop_ms in zip(options.window_sizes, options.hop_sizes, strict=True):
        window, hop = round(window_ms * rate / 1000), round(hop_ms * rate / 1000)
        n_fft = max(N_FFT, window)
        spectrum = torch.stft(channel, n_fft, hop, window, hann(window), pad_mode="reflect", return_complex=True)
        power = spectrum.real.square() + spectrum.imag.square()  # (bins, columns)
        plane = torch.log(filters(rate, n_fft, options.n_mels) @ power + options.eps)
        size = options.spec_size[1:]
        planes.append(F.interpolate(plane[None, None], size, mode="bilinear", antialias=True)[0, 0])
    return torch.stack(planes)[None]


@lru_cache
def hann(length: int) -> Tensor:
    return torch.hann_window(length)


def mel_filters(rate: int, n_fft: int, n_mels: int) -> Tensor:
    """Triangles of the mel bands (HTK's scale, no normalisation) over the bins of a transform: (n_mels, bins)."""
    highest = 2595 * math.log10(1 + rate / 2 / 700)
    corners = 700 * (10 ** (torch.linspace(0, highest, n_mels + 2) / 2595) - 1)  # Hz
    slopes = corners[:, None] - torch.linspace(0, rate / 2, n_fft // 2 + 1)  # (n_mels + 2, bins)
    width = corners.diff()[:, None]
    return torch.minimum(-slopes[:-2] / width[:-1], slopes[2:] / width[1:]).clamp_(min=0)


@lru_cache
def kept_mel_filters(rate: int, n_fft: int, n_mels: int) -> Tensor:
    return mel_filters(rate, n_fft, n_mels)
