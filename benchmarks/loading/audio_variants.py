"""The ways from an audio track to its log-mel spectrogram that `benchmarks.loading.audio` compares, each in a process
of its own."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import librosa
import numpy as np
from torch import from_numpy, set_num_threads
from torch.nn.functional import interpolate

from benchmarks.baselines.tsam_audio import Filters, log_mel
from pipelines.audio.log_mel import N_FFT, AudioImage
from pipelines.audio.mel_store import MelStore
from pipelines.audio.read import read_audio
from pipelines.mel import log_mel_picture


class Spectrograms:
    """One way from files to the spectrograms of clips, in its own process."""

    def __init__(self, make: Callable[[Path], np.ndarray], files: Sequence[Path]):
        set_num_threads(1)
        self.make, self.files = make, files

    def time(self) -> tuple[float, float]:
        """CPU and wall seconds of all clips."""
        cpu, wall = time.process_time(), time.perf_counter()
        for file in self.files:
            self.make(file)
        return time.process_time() - cpu, time.perf_counter() - wall

    def spectrograms(self) -> list[np.ndarray]:
        """Of all clips, float32 (3, H, W)."""
        return [self.make(file) for file in self.files]


def stored(store: MelStore, clip_id: Path) -> np.ndarray:
    return store.spectrogram(str(clip_id), 1)[0]


def direct(options: AudioImage, wav: Path) -> np.ndarray:
    return log_mel_picture(wav, options, 1)[0]


def tsam(options: AudioImage, filters: Filters, wav: Path) -> np.ndarray:
    return log_mel(wav, options, (0, 0), filters)[0].numpy()


def librosa_reference(options: AudioImage, wav: Path) -> np.ndarray:
    """From librosa's mel spectrogram, in double precision, resized by torch: float64 (3, H, W)."""
    audio, rate = read_audio(wav)
    planes = []
    for window_ms, hop_ms in zip(options.window_sizes, options.hop_sizes, strict=True):
        window, hop = round(window_ms * rate / 1000), round(hop_ms * rate / 1000)
        power = librosa.feature.melspectrogram(
            y=audio[0].astype(np.float64),
            sr=rate,
            n_fft=max(N_FFT, window),
            hop_length=hop,
            win_length=window,
            pad_mode="reflect",
            n_mels=options.n_mels,
            htk=True,
            norm=None,
            dtype=np.float64,
        )
        plane = from_numpy(np.log(power + options.eps))[None, None]
        planes.append(interpolate(plane, options.spec_size[1:], mode="bilinear", antialias=True)[0, 0].numpy())
    return np.stack(planes)
