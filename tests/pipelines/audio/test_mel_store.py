"""The log-mel store: what comes out is what went in, and nothing that is wrong goes unnoticed."""

import functools
import pickle
import resource

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from pipelines.audio.log_mel import AudioImage, Columns, log_mel_columns, silent_spectrogram, spectrogram
from pipelines.audio.mel_file import MelError, columns_path, fingerprint, load_columns, save_columns
from pipelines.audio.mel_store import MelStore
from tests.helpers.audio_media import noise

OPTIONS = AudioImage(n_mels=32, spec_size=(3, 24, 40))
SETTINGS = fingerprint(OPTIONS)


@functools.cache
def columns_of(channels):
    return log_mel_columns(noise(1.0, 16000, channels), 16000, OPTIONS)


@pytest.fixture
def store(tmp_path):
    """A store with the clips "mono", "sub/stereo" and "silent"."""
    for clip_id, channels in (("mono", 1), ("sub/stereo", 2)):
        save_columns(columns_path(tmp_path, clip_id), columns_of(channels), SETTINGS)
    save_columns(columns_path(tmp_path, "silent"), None, SETTINGS)
    return MelStore(tmp_path, OPTIONS)


@pytest.mark.parametrize("cut", [(0.0, 0.0), (0.25, 0.1)])
@pytest.mark.parametrize(("clip_id", "channels"), [("mono", 1), ("sub/stereo", 2)])
@pytest.mark.parametrize("audio_segments", [1, 2])
def test_pictures_are_the_same_up_to_half_a_step(store, clip_id, channels, audio_segments, cut):
    direct = spectrogram(columns_of(channels), OPTIONS, audio_segments, cut)
    found = pickle.loads(pickle.dumps(store)).spectrogram(clip_id, audio_segments, cut)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, direct, atol=0.002)


def test_silence(store):
    np.testing.assert_array_equal(store.spectrogram("silent", 2, (0.5, 0.5)), silent_spectrogram(OPTIONS, 2))


def test_the_store_serves_pictures_of_any_size(store):
    """Size and pieces of the picture are no settings of the store."""
    other = AudioImage(n_mels=32, spec_size=(3, 8, 9), num_segments=2, m_segments=2)
    assert MelStore(store.folder, other).spectrogram("mono", 1).shape == (2, 3, 8, 9)


@pytest.mark.parametrize(
    "changed",
    [
        {"window_sizes": (25.0, 50.0, 101.0)},
        {"hop_sizes": (10.0, 25.0, 51.0)},
        {"n_mels": 33},
        {"eps": 1e-5},
    ],
)
def test_other_settings_are_refused_and_named(store, changed):
    other = AudioImage(**{"n_mels": 32} | changed)
    with pytest.raises(
        MelError, match=r"mono\.safetensors: made with windows 25/50/100 ms.*; expected .*precompute_audio"
    ):
        MelStore(store.folder, other).spectrogram("mono", 1)


def test_whole_numbers_in_json_make_no_difference():
    assert fingerprint(AudioImage(window_sizes=(25, 50, 100), hop_sizes=(10, 25, 50))) == fingerprint(AudioImage())


def test_a_missing_file(store):
    with pytest.raises(MelError, match=r"other\.safetensors: does not exist; run python tools/precompute_audio\.py"):
        store.spectrogram("other", 1)


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_a_file_cut_short(store, keep):
    path = columns_path(store.folder, "mono")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(MelError, match=r"mono\.safetensors: is damaged"):
        store.spectrogram("mono", 1)


def test_a_file_that_is_something_else(store):
    path = columns_path(store.folder, "mono")
    path.write_bytes(b"something else, and long enough for a header")
    with pytest.raises(MelError, match="is damaged"):
        store.spectrogram("mono", 1)
    save_file({"weights": np.zeros(3)}, path)
    with pytest.raises(MelError, match="made with unknown settings"):
        store.spectrogram("mono", 1)
    save_file(load_file(path), path, {"fingerprint": SETTINGS, "silent": "no"})
    with pytest.raises(MelError, match="is damaged"):
        store.spectrogram("mono", 1)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers(store, value):
    windows = [np.zeros((2, 32, 9), np.float32) for _ in range(3)]
    windows[2][1, 31, 8] = value
    path = columns_path(store.folder, "bad")
    with pytest.raises(MelError, match=r"bad\.safetensors: cannot be stored: .* not finite"):
        save_columns(path, Columns(windows, 16000, 16000), SETTINGS)
    assert not path.exists()
    about = {"fingerprint": SETTINGS, "silent": "no", "rate": "16000", "samples": "16000"}
    earlier = {f"window{number}": window.astype(np.float16) for number, window in enumerate(windows)}
    save_file(earlier, path, about)  # as earlier versions wrote it
    with pytest.raises(MelError, match="not finite"):
        store.spectrogram("bad", 2)
    assert np.isfinite(store.spectrogram("bad", 1)).all()  # the other channel is audio


def test_only_the_wanted_channels_are_read(store):
    found = load_columns(columns_path(store.folder, "sub/stereo"), SETTINGS, channels=1)
    assert [window.shape[0] for window in found.windows] == [1, 1, 1]
    assert all(window.dtype == np.float32 for window in found.windows)


def test_a_channel_that_is_not_stored_is_not_shown_as_the_other(store):
    path = columns_path(store.folder, "left")
    save_columns(path, columns_of(1), SETTINGS, channels=2)
    assert store.spectrogram("left", 1).shape == (1, 3, 24, 40)
    with pytest.raises(
        MelError, match=r"left\.safetensors: holds 1 of 2 channels; .* python tools/precompute_audio\.py"
    ):
        store.spectrogram("left", 2)


def test_a_failed_write_leaves_the_old_file(store):
    path = columns_path(store.folder, "mono")
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # as a full disk
    try:
        with pytest.raises(MelError, match=r"mono\.safetensors: cannot be written"):
            save_columns(path, columns_of(1), SETTINGS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert not list(store.folder.glob(".*"))


def test_a_file_has_the_rights_of_others(store):
    (store.folder / "other").touch()
    rights = (store.folder / "other").stat().st_mode
    assert [path.stat().st_mode for path in store.folder.rglob("*.safetensors")] == [rights] * 3


def test_a_file_that_cannot_be_put_in_place_is_removed(store):
    path = columns_path(store.folder, "folder")
    path.mkdir()
    with pytest.raises(MelError, match="cannot be written"):
        save_columns(path, columns_of(1), SETTINGS)
    assert not list(store.folder.glob(".*"))


def test_a_folder_that_cannot_be_made(store):
    path = columns_path(store.folder / "mono.safetensors", "below")  # a file stands where the folder would be
    with pytest.raises(MelError, match="cannot be written"):
        save_columns(path, None, SETTINGS)
