"""How audio is cut, and divided into pieces, before its spectrogram becomes an image."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.audio import log_mel
from pipelines.audio.log_mel import AudioImage, log_mel_columns, pieces, spectrogram
from tests.helpers.audio_media import noise

SMALL = AudioImage(n_mels=32, spec_size=(3, 24, 40))


@pytest.mark.parametrize(
    ("samples", "n", "m", "expected"),
    [
        (12, 2, 2, [(0, 8), (4, 12)]),
        (100, 1, 1, [(0, 100)]),
        (100, 1, 5, [(0, 100)]),
        (100, 3, 1, [(0, 100)] * 3),
        (160, 3, 4, [(0, 64), (48, 112), (96, 160)]),
        (1, 3, 2, [(0, 0)] * 3),
    ],
)
def test_pieces_as_tsam_cuts_them(samples, n, m, expected):
    assert list(pieces(samples, n, m)) == expected


@given(samples=st.integers(1, 10**6), n=st.integers(1, 12), m=st.integers(1, 12))
def test_pieces_are_equal_and_cover_the_audio(samples, n, m):
    found = list(pieces(samples, n, m))
    assert len(found) == n
    assert len({stop - start for start, stop in found}) == 1
    assert found[0][0] == 0
    assert abs(found[-1][1] - samples) < 2 * n  # TSAM rounds the overlap down, so the last may even end beyond
    assert all(start <= previous for (start, _), (_, previous) in zip(found[1:], found, strict=False))


def middle(shown):
    """Columns of a picture that the ends of the audio do not reach."""
    return shown[..., 6:-6]


def test_pieces_in_the_picture():
    """Each piece's picture is that of its samples alone, away from the ends; channel by channel."""
    rate, options = 16000, AudioImage(n_mels=32, spec_size=(3, 32, 40), num_segments=2, m_segments=2)
    audio = noise(3.0, rate, channels=2)  # pieces of 2 s; starts and lengths are whole columns
    shown = spectrogram(log_mel_columns(audio, rate, options), options, 2)
    assert shown.shape == (4, 3, 32, 40)
    whole = AudioImage(n_mels=32, spec_size=(3, 32, 40))
    for place, (channel, start) in enumerate([(0, 0), (0, 16000), (1, 0), (1, 16000)]):
        piece = audio[channel : channel + 1, start : start + 32000]
        expected = spectrogram(log_mel_columns(piece, rate, whole), whole, 1)[0]
        np.testing.assert_allclose(middle(shown[place]), middle(expected), atol=2e-3)


def test_a_cut_is_the_picture_of_the_shorter_audio():
    rate, options = 16000, AudioImage(n_mels=32, spec_size=(3, 32, 40))
    audio = noise(3.0, rate)
    shown = spectrogram(log_mel_columns(audio, rate, options), options, 1, cut=(0.5, 0.3))
    expected = spectrogram(log_mel_columns(audio[:, 8000:-4800], rate, options), options, 1)
    np.testing.assert_allclose(middle(shown), middle(expected), atol=2e-3)
    assert np.abs(shown - spectrogram(log_mel_columns(audio, rate, options), options, 1)).max() > 1


@pytest.mark.parametrize("rate", [16000, 44100])
def test_a_cut_begins_at_a_column(rate):
    """Off the grid of columns, all of them would stand aside of those of the shorter audio."""
    audio, hop = noise(2.0, rate), rate // 20  # the longest
    shown = spectrogram(log_mel_columns(audio, rate, SMALL), SMALL, 1, cut=(0.5131, 0.2973))
    shorter = audio[:, 10 * hop : audio.shape[1] - round(0.2973 * rate)]
    expected = spectrogram(log_mel_columns(shorter, rate, SMALL), SMALL, 1)
    assert np.abs(middle(shown) - middle(expected)).max() < (0.002 if rate == 16000 else 0.1)


@pytest.mark.parametrize(("seconds", "is_cut"), [(1.0, True), (0.9, False), (0.5, False)])
def test_a_cut_leaves_more_than_4800_samples(seconds, is_cut):
    columns = log_mel_columns(noise(seconds, 16000), 16000, SMALL)
    whole = spectrogram(columns, SMALL, 1)
    cut = spectrogram(columns, SMALL, 1, cut=(0.3, 0.3))  # leaves 6400, 4800 and no samples
    assert (np.abs(cut - whole).max() > 0.1) == is_cut


@settings(deadline=None, max_examples=60)
@given(
    samples=st.integers(1, 30000),
    rate=st.sampled_from([8000, 22050, 48000]),
    n=st.integers(1, 3),
    m=st.integers(1, 3),
    cut=st.tuples(st.floats(0, 3), st.floats(0, 3)),
)
def test_every_audio_has_a_picture(samples, rate, n, m, cut):
    options = AudioImage(n_mels=4, spec_size=(3, 6, 5), num_segments=n, m_segments=m)
    hops = [round(hop * rate / 1000) for hop in options.hop_sizes]
    windows = [np.zeros((1, 4, 1 + samples // hop), np.float16) for hop in hops]
    shown = spectrogram(log_mel.Columns(windows, rate, samples), options, 2, cut)
    assert shown.shape == (2 * n, 3, 6, 5)
    assert not shown.any()
