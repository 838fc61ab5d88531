"""The log-mel store of pieces: channels, and how usable what is stored of a file is."""

import os
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from pipelines.audio.log_mel import AudioImage, log_mel_columns
from pipelines.audio.mel_file import MelError, columns_path, fingerprint
from pipelines.audio.mel_pieces import load_piece, pieces_name, pieces_state, silent_parts, store_pieces
from pipelines.files import storage
from tests.helpers.audio_media import noise

RATE, OPTIONS = 8000, AudioImage(n_mels=16, spec_size=(3, 16, 20))
SETTINGS = fingerprint(OPTIONS)
PARTS = [(0.5, 1.0), (0.0, 0.5), (5.0, 6.0), (1.25, 2.0)]
"""The third one is behind the audio."""


@pytest.fixture
def stereo(tmp_path):
    """A .wav of two seconds with a left and a right channel."""
    soundfile.write(tmp_path / "a.wav", noise(2.0, RATE, channels=2).T, RATE, "FLOAT")
    return tmp_path / "a.wav"


def state(record, source, parts=(PARTS[0],), settings=SETTINGS, audio_segments=1):
    return pieces_state(record, [storage.state(source)], source.parent, settings, audio_segments, parts)


def piece(source, part, channels):
    return load_piece(columns_path(source.parent, pieces_name("a")), SETTINGS, part, channels)


@pytest.mark.parametrize("channels", [1, 2])
def test_as_many_channels_as_asked_for(stereo, channels):
    record = store_pieces(stereo.parent, "a", stereo, OPTIONS, channels, PARTS)
    assert (record.channels, record.of_channels) == (channels, 2)
    audio = noise(2.0, RATE, channels=2)
    for start, end in (PARTS[0], PARTS[1], PARTS[3]):
        found = piece(stereo, (start, end), channels)
        expected = log_mel_columns(audio[:channels, round(start * RATE) : round(end * RATE)], RATE, OPTIONS)
        assert (found.rate, found.samples) == (RATE, round((end - start) * RATE))
        for ours, theirs in zip(found.windows, expected.windows, strict=True):
            assert ours.shape == theirs.shape
            np.testing.assert_allclose(ours, theirs, atol=0.05)
    assert state(record, stereo, audio_segments=2) == ("ok" if channels == 2 else "fewer channels")
    if channels == 1:
        with pytest.raises(MelError, match="holds 1 of 2 channels"):
            piece(stereo, PARTS[0], 2)


def test_equal_channels_are_stored_once(tmp_path):
    source = tmp_path / "a.wav"
    soundfile.write(source, np.repeat(noise(1.0, RATE).T, 2, axis=1), RATE)
    record = store_pieces(tmp_path, "a", source, OPTIONS, 2, PARTS[:2])
    assert record.of_channels == 1
    assert len(piece(source, PARTS[0], 2).windows[0]) == 1
    assert state(replace(record, channels=1), source, audio_segments=2) == "ok"  # there is no other one to add


def test_what_can_be_used(stereo):
    record = store_pieces(stereo.parent, "a", stereo, OPTIONS, 1, PARTS)
    assert state(record, stereo, PARTS) == "ok"
    assert state(None, stereo) == "missing"
    assert state(record, stereo, [(0.0, 0.4)]) == "missing"
    assert state(record, stereo, settings=fingerprint(replace(OPTIONS, n_mels=17))) == "other settings"
    columns = columns_path(stereo.parent, pieces_name("a"))
    with pytest.raises(MelError, match="made with"):
        load_piece(columns, fingerprint(replace(OPTIONS, n_mels=17)), PARTS[0])
    columns.unlink()
    assert state(record, stereo) == "missing"
    os.utime(stereo, (1, 1))
    assert state(record, stereo) == "outdated"


def test_a_file_that_cannot_be_read(stereo):
    store_pieces(stereo.parent, "a", stereo, OPTIONS, 1, PARTS)
    stereo.write_bytes(b"junk")
    record = store_pieces(stereo.parent, "a", stereo, OPTIONS, 1, PARTS)
    assert state(record, stereo, PARTS) == "failed"
    assert "a.wav: the audio cannot be read" in record.reason
    assert not columns_path(stereo.parent, pieces_name("a")).exists()  # of the file that was there before


def test_pieces_without_audio(stereo):
    record = store_pieces(stereo.parent, "a", stereo, OPTIONS, 1, PARTS)
    assert silent_parts(record) == {(5.0, 6.0)}
    assert piece(stereo, (5.0, 6.0), 1) is None
