"""The log-mel store, damaged: every cut is noticed, and whatever a bit becomes, the answer is columns or a MelError."""

import dataclasses

import numpy as np
import pytest

from pipelines.mel import AudioImage, log_mel_columns
from pipelines.mel_file import MelError, columns_path, fingerprint, load_columns, save_columns
from tests.sound_media import noise

OPTIONS = AudioImage(n_mels=4, spec_size=(3, 8, 8))
SETTINGS = fingerprint(OPTIONS)


@pytest.fixture
def stored(tmp_path):
    path = columns_path(tmp_path, "clip")
    save_columns(path, log_mel_columns(noise(0.2, 8000), 8000, OPTIONS), SETTINGS)
    return path


def test_every_cut(stored):
    whole = stored.read_bytes()
    for length in range(0, len(whole), 7):
        stored.write_bytes(whole[:length])
        with pytest.raises(MelError, match="delete it and run tools/precompute_audio"):
            load_columns(stored, SETTINGS)
    stored.write_bytes(whole)
    assert load_columns(stored, SETTINGS) is not None


def test_every_bit_of_the_header(stored):
    """The header says what the bytes after it are."""
    whole = stored.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    original = load_columns(stored, SETTINGS)
    for bit in range(8 * header):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        stored.write_bytes(changed)
        try:
            found = load_columns(stored, SETTINGS)
        except MelError:
            continue
        if found is not None:
            assert all(np.isfinite(window).all() for window in found.windows)
            assert len(found.windows) == len(original.windows)


def test_every_setting_that_makes_other_columns(stored):
    changes = {"window_sizes": (25.0, 50.0, 99.0), "hop_sizes": (10.0, 25.0, 49.0), "n_mels": 5, "eps": 1e-3}
    for name, value in changes.items():
        with pytest.raises(MelError, match="made with windows"):
            load_columns(stored, fingerprint(dataclasses.replace(OPTIONS, **{name: value})))


@pytest.mark.usefixtures("ordinary_rights")
def test_a_store_that_may_not_be_written(tmp_path):
    store = tmp_path / "mels"
    store.mkdir(0o500)
    with pytest.raises(MelError, match="cannot be written"):
        save_columns(columns_path(store, "clip"), None, SETTINGS)
