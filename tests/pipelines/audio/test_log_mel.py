"""The numbers of the log-mel picture, against plain arithmetic and against torch's resize."""

import json

import numpy as np
import pydantic
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipelines.audio import log_mel
from pipelines.audio.log_mel import AudioImage, log_mel_columns, silent_spectrogram, spectrogram
from pipelines.mel import log_mel_picture
from tests.helpers.audio_media import noise, tone

SMALL = AudioImage(n_mels=32, spec_size=(3, 24, 40))


def plain_log_mel(samples, rate, window, hop, n_fft, n_mels, eps, which=None):
    """Log-mel columns by the book, in double precision: frame by frame, filter by filter. All in samples."""
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    left = (n_fft - window) // 2
    top = 2595 * np.log10(1 + rate / 2 / 700)
    corners = 700 * (10 ** (np.linspace(0, top, n_mels + 2) / 2595) - 1)
    bins = np.arange(n_fft // 2 + 1) * rate / n_fft
    columns = []
    for j in range(1 + len(samples) // hop) if which is None else which:
        places = np.arange(j * hop - n_fft // 2, j * hop - n_fft // 2 + n_fft)
        period = 2 * (len(samples) - 1)
        places = np.abs((places + period // 2) % period - period // 2) if period else places * 0  # reflected
        frame = np.zeros(n_fft)
        frame[left : left + window] = hann * samples[places][left : left + window]
        power = np.abs(np.fft.rfft(frame)) ** 2
        bands = []
        for low, middle, high in zip(corners, corners[1:], corners[2:], strict=False):
            rising, falling = (bins - low) / (middle - low), (high - bins) / (high - middle)
            bands.append((np.maximum(0, np.minimum(rising, falling)) * power).sum())
        columns.append(np.log(np.array(bands) + eps))
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 48000])
def test_columns_are_what_the_definition_says(rate):
    options = AudioImage(n_mels=64)
    audio = noise(0.25, rate, channels=2)
    found = log_mel_columns(audio, rate, options)
    assert (found.rate, found.samples) == (rate, audio.shape[1])
    for window_ms, hop_ms, columns in zip((25, 50, 100), (10, 25, 50), found.windows, strict=True):
        window, hop = round(window_ms * rate / 1000), round(hop_ms * rate / 1000)
        expected = [plain_log_mel(channel.astype(float), rate, window, hop, 4800, 64, 1e-6) for channel in audio]
        assert columns.dtype == np.float32
        np.testing.assert_allclose(columns, expected, atol=2e-3, rtol=0)


@pytest.mark.filterwarnings("ignore:Empty filters")
@pytest.mark.parametrize(("rate", "window", "hop"), [(96000, 9600, 4800), (48010, 4801, 2400)])
def test_a_window_longer_than_the_transform_lengthens_it(rate, window, hop):
    """100 ms are 9600 samples, or an odd number; the last column stands behind the last sample."""
    audio = noise(0.3, rate)[:, : 4 * hop]
    found = log_mel_columns(audio, rate, AudioImage(n_mels=64)).windows[2]
    expected = plain_log_mel(audio[0].astype(float), rate, window, hop, window, 64, 1e-6)
    np.testing.assert_allclose(found[0], expected, atol=2e-3)


@pytest.mark.parametrize("samples", [1, 2, 3, 100, 4799])
def test_very_short_audios(samples):
    audio = noise(1, 16000)[:, :samples]
    for window, hop, columns in zip(
        (400, 800, 1600), (160, 400, 800), log_mel_columns(audio, 16000, SMALL).windows, strict=True
    ):
        expected = plain_log_mel(audio[0].astype(float), 16000, window, hop, 4800, 32, 1e-6)
        np.testing.assert_allclose(columns[0], expected, atol=5e-3)
    shown = spectrogram(log_mel_columns(audio, 16000, SMALL), SMALL, 2, cut=(1.0, 1.0))
    assert shown.shape == (2, 3, 24, 40)
    assert np.isfinite(shown).all()


def test_a_long_audio_has_no_seams():
    """Columns are computed in blocks; those around a block's end are like all others."""
    rate, block = 1000, log_mel._BLOCK
    audio = noise((block + 60) * 0.01, rate)
    found = log_mel_columns(audio, rate, AudioImage(n_mels=16)).windows[0][0]
    assert found.shape == (16, block + 61)
    which = [0, *range(block - 3, block + 3), block + 60]
    expected = plain_log_mel(audio[0].astype(float), rate, 25, 10, 4800, 16, 1e-6, which)
    np.testing.assert_allclose(found[:, which], expected, atol=2e-3)


@pytest.mark.parametrize(
    ("shape", "size"),
    [((224, 1001), (224, 224)), ((64, 5), (32, 48)), ((3, 1), (5, 7)), ((9, 360), (7, 2))],
)
def test_resize_is_torchs_antialiased_bilinear(shape, size):
    plane = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(plane)[None, None], size=size, mode="bilinear", antialias=True, align_corners=False
    )
    np.testing.assert_allclose(log_mel._resized(plane, size), expected[0, 0], atol=1e-5)


@given(shape=st.tuples(st.integers(1, 40), st.integers(1, 400)), size=st.tuples(st.integers(1, 40), st.integers(1, 40)))
def test_resize_is_pillows(shape, size):
    plane = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    expected = np.asarray(Image.fromarray(plane).resize(size[::-1], Image.Resampling.BILINEAR))
    np.testing.assert_allclose(log_mel._resized(plane, size), expected, atol=1e-5)


def test_widened_numbers_are_the_same():
    half = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    half = half[np.isfinite(half)].reshape(2, -1)
    for part in (half, half[:, 5:-3]):
        np.testing.assert_array_equal(log_mel.widened(part).view(np.int32), part.astype(np.float32).view(np.int32))


def test_planes_bands_and_time_of_the_picture(tmp_path):
    """A low tone, then a high one: the bright row is near the top, then lower; the planes are the three windows."""
    rate, options = 16000, AudioImage()
    audio = np.concatenate([tone(200, 1.0, rate), tone(4000, 1.0, rate)], axis=1)
    soundfile.write(tmp_path / "a.wav", audio.T, rate, "FLOAT")
    shown = log_mel_picture(tmp_path / "a.wav", options, 1)
    assert shown.shape == (1, 3, 224, 224)
    assert shown.dtype == np.float32
    assert shown.flags.c_contiguous
    step = 2595 * np.log10(1 + 8000 / 700) / 225  # mel from one band to the next
    rows = [2595 * np.log10(1 + hertz / 700) / step - 1 for hertz in (200, 4000)]
    for plane in shown[0]:
        np.testing.assert_allclose(plane[:, 10:100].argmax(axis=0), rows[0], atol=1)
        np.testing.assert_allclose(plane[:, -100:-10].argmax(axis=0), rows[1], atol=1)
    for plane, columns in zip(shown[0], log_mel_columns(audio, rate, options).windows, strict=True):
        expected = torch.nn.functional.interpolate(
            torch.from_numpy(columns)[None], size=(224, 224), mode="bilinear", antialias=True
        )
        np.testing.assert_allclose(plane, expected[0, 0], atol=1e-4)


def test_channels_are_the_audio_segments(tmp_path):
    left, right = tone(300, 0.5, 16000), tone(3000, 0.5, 16000)
    alone = []
    for name, audio in (("left", left), ("right", right), ("both", np.concatenate([left, right]))):
        soundfile.write(tmp_path / f"{name}.wav", audio.T, 16000)
        alone.append(log_mel_picture(tmp_path / f"{name}.wav", SMALL, 2))
    np.testing.assert_array_equal(alone[0][0], alone[0][1])  # mono: shown twice
    np.testing.assert_array_equal(alone[2], np.stack([alone[0][0], alone[1][0]]))
    np.testing.assert_array_equal(log_mel_picture(tmp_path / "both.wav", SMALL, 1), alone[0][:1])


def test_silence():
    options = AudioImage(spec_size=(3, 5, 6), num_segments=2)
    shown = silent_spectrogram(options, 2)
    assert shown.shape == (4, 3, 5, 6)
    assert shown.dtype == np.float32
    np.testing.assert_allclose(shown, np.log(1e-6), rtol=1e-6)
    columns = log_mel_columns(np.zeros((1, 8000), np.float32), 8000, options)
    np.testing.assert_allclose(spectrogram(columns, options, 2), shown, rtol=1e-6)


def test_options_come_from_json():
    section = {"window_sizes": [25, 50, 100], "hop_sizes": [10, 25, 50], "n_mels": 224, "eps": 1e-6}
    section |= {"spec_size": [3, 224, 224], "num_segments": 1, "m_segments": 1}
    read = pydantic.TypeAdapter(AudioImage).validate_json(json.dumps(section), strict=True)
    assert read == AudioImage()
    assert hash(read) == hash(AudioImage())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("window_sizes", [25, 50]),
        ("hop_sizes", [10, 25, 0]),
        ("n_mels", 0),
        ("eps", 0),
        ("spec_size", [1, 224, 224]),
        ("spec_size", [3, 224, 0]),
        ("num_segments", 0),
        ("m_segments", 0),
    ],
)
def test_options_out_of_range(name, value):
    with pytest.raises(pydantic.ValidationError, match=name):
        pydantic.TypeAdapter(AudioImage).validate_json(json.dumps({name: value}), strict=True)


def test_weights_are_kept_for_clips_and_not_for_long_audio():
    short, long = log_mel.KEPT_LENGTH, log_mel.KEPT_LENGTH + 1
    assert log_mel._weights(short, 224) is log_mel._weights(short, 224)
    assert log_mel._weights(long, 224) is not log_mel._weights(long, 224)
