"""Columns as bytes: what comes out is within half a step, and bytes that are something else are refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipelines.audio import mel_packing
from pipelines.audio.log_mel import AudioImage, log_mel_columns, spectrogram
from pipelines.audio.mel_packing import STEPS, WIDEST, PackingError, check_size, pack, unpack, zstd
from tests.helpers.audio_media import noise, tone


def unpacked(packed, n_mels, number):
    columns = np.full((number, n_mels), np.nan, np.float32)
    unpack(np.frombuffer(packed, np.uint8), columns)
    return columns.T


@settings(deadline=None)
@given(arrays(np.float32, (5, 7), elements=st.floats(-70, 57, width=32)))
def test_values_are_within_half_a_step_and_do_not_change_again(columns):
    found = unpacked(pack([columns[:, :4], columns[:, 4:]]), 5, 7)
    assert np.abs(found - columns).max() <= 0.5 / STEPS + 1e-5
    np.testing.assert_array_equal(unpacked(pack([found]), 5, 7), found)


def test_values_as_far_apart_as_they_may_be():
    columns = np.array([[-100, WIDEST - 100 - 2e-5]], np.float32)
    np.testing.assert_allclose(unpacked(pack([columns]), 1, 2), columns, atol=0.5 / STEPS + 1e-4)


def test_the_lowest_value_is_exact():
    """Silence is one value, which would else be wrong by up to half a step everywhere."""
    silence = np.full((4, 9), np.log(np.float32(1e-6)))
    np.testing.assert_array_equal(unpacked(pack([silence]), 4, 9), silence)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, WIDEST])
def test_what_cannot_be_packed(value):
    columns = np.zeros((4, 9), np.float32)
    columns[2, 3] = value
    with pytest.raises(PackingError, match="not finite, or too far apart"):
        pack([columns])


RATES = (8000, 44100, 96000)
KINDS = {
    "soft": lambda rate: noise(2, rate) * 1e-3,
    "noise": lambda rate: noise(2, rate),
    "clipped": lambda rate: np.sign(noise(2, rate)),
    "loud tone": lambda rate: tone(440.7, 2, rate, loudness=1),
    "silence": lambda rate: noise(2, rate) * 0,
    "half silent": lambda rate: noise(2, rate) * (np.arange(2 * rate) < rate),
}


@pytest.mark.filterwarnings("ignore:Empty filters")
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("kind", KINDS)
def test_size_and_difference_of_any_audio(kind, rate):
    options = AudioImage()
    exact = log_mel_columns(KINDS[kind](rate), rate, options)
    packed = pack([window[0] for window in exact.windows])
    assert len(packed) <= 2 * 50_000
    lengths = [window.shape[-1] for window in exact.windows]
    columns = unpacked(packed, options.n_mels, sum(lengths))
    windows = [window[None] for window in np.split(columns, np.cumsum(lengths)[:-1], axis=1)]
    difference = np.abs(spectrogram(exact._replace(windows=windows), options, 1) - spectrogram(exact, options, 1))
    assert difference.mean() < 0.9e-3


def test_what_is_not_smaller_is_kept_as_it_is():
    columns = np.random.default_rng(0).uniform(0, 127, (3, 4)).astype(np.float32)
    assert len(pack([columns])) == 4 + 2 * columns.size
    assert np.abs(unpacked(pack([columns]), 3, 4) - columns).max() <= 0.5 / STEPS


def test_nothing_is_packed_so_small_that_it_would_be_refused(monkeypatch):
    monkeypatch.setattr(mel_packing, "_LARGEST", 1000)
    columns = np.zeros((224, 1603), np.float32)
    packed = pack([columns])
    check_size(len(packed), 4 + 2 * columns.size)
    np.testing.assert_array_equal(unpacked(packed, 224, 1603), columns)


def test_sizes_that_no_audio_has():
    check_size(1000, 2**28)
    check_size(10**9, 10**12)
    for packed, claimed in ((1000, 2**28 + 1), (10**9, 10**12 + 1)):
        with pytest.raises(PackingError, match=f"claims to hold {claimed} bytes in {packed}"):
            check_size(packed, claimed)


GOOD = pack([np.zeros((4, 9), np.float32)])
ENDLESS = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 27})  # does not say how much follows
OTHERS = {
    "cut": GOOD[:-1],
    "followed": GOOD + b"x",
    "larger": pack([np.zeros((4, 10), np.float32)]),
    "smaller": pack([np.zeros((4, 8), np.float32)]),
    "large": zstd.compress(bytes(10**7)),
    "much memory": ENDLESS.compress(bytes(76)) + ENDLESS.flush(),
    "nothing": b"",
    "text": b"something else, longer than a head",
    "no number": zstd.compress(np.array([np.nan], "<f4").tobytes() + bytes(72)),
    "high number": zstd.compress(np.array([1e30], "<f4").tobytes() + bytes(72)),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_bytes(kind):
    assert not unpacked(GOOD, 4, 9).any()
    with pytest.raises(PackingError):
        unpacked(OTHERS[kind], 4, 9)
