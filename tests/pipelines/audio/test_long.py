"""The picture of a long audio equals that of the whole, though only a part of it is in memory at a time."""

import numpy as np
import pytest

from pipelines.audio import long as module
from pipelines.audio.decode import Piece
from pipelines.audio.log_mel import AudioImage, log_mel_columns, spectrogram
from pipelines.audio.long import long_audio, long_spectrogram
from tests.helpers.processes import run

KINDS = [
    (48000, 100_000, {}),
    (44100, 100_001, {"hop_sizes": (10, 25, 50), "num_segments": 3, "m_segments": 2}),
    (8000, 20_000, {}),
    (96000, 150_000, {}),  # windows above N_FFT
    (48010, 96_020, {}),  # the longest of odd length
    (16000, 100, {}),  # shorter than a reflection
    (22050, 1, {}),
]


@pytest.mark.parametrize(("rate", "samples", "more"), KINDS)
@pytest.mark.parametrize(("channels", "segments"), [(1, 1), (1, 2), (2, 2), (6, 1)])
def test_equal_to_the_whole(monkeypatch, rate, samples, more, channels, segments):
    monkeypatch.setattr(module, "IN_MEMORY", 1000)
    monkeypatch.setattr(module, "PART", 20)
    audio = np.random.default_rng(0).normal(0, 0.1, (channels, samples)).astype(np.float32)
    options = AudioImage(n_mels=40, spec_size=(3, 40, 56), **more)
    expected = spectrogram(log_mel_columns(audio[:segments], rate, options), options, segments)
    parts = (Piece(part, rate, None) for part in np.array_split(audio, min(7, samples), axis=1))
    with long_audio(parts, segments) as held:
        found = long_spectrogram(held, options, segments)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-4


def test_no_samples_at_all():
    with long_audio(iter([]), 1) as held:
        assert held is None


HALF_AN_HOUR = """
import resource
import librosa, scipy.signal  # before memory is looked at
import numpy as np
from pipelines.audio.long import long_spectrogram, long_audio
from pipelines.audio.log_mel import AudioImage
from pipelines.audio.decode import Piece

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
parts = (Piece(np.full((2, 16000), second % 7 / 10, np.float32), 16000, None) for second in range(1800))
with long_audio(parts, 1) as audio:
    print(long_spectrogram(audio, AudioImage(hop_sizes=(100, 200, 400)), 1).shape)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1000)
"""


def test_half_an_hour_needs_no_more_memory_than_a_part_of_it():
    """Its samples alone are 115 MB."""
    done = run("-c", HALF_AN_HOUR)
    assert done.returncode == 0, done.stderr
    shape, megabytes = done.stdout.splitlines()
    assert shape == "(1, 3, 224, 224)"
    assert int(megabytes) < 320  # of the whole audio at once: over 600
