"""The log-mel store, damaged: every cut is noticed, and whatever a bit becomes, the answer is columns or a MelError."""

import dataclasses
import resource
import tracemalloc

import numpy as np
import pytest
from safetensors.numpy import save_file

from pipelines.audio.log_mel import AudioImage, log_mel_columns
from pipelines.audio.mel_file import MelError, columns_path, fingerprint, load_columns, save_columns
from pipelines.audio.mel_packing import pack
from pipelines.audio.mel_records import SUMMARY_NAME, Record, read_summary, summary_writer
from pipelines.files.errors import InputError
from tests.helpers.audio_media import noise
from tests.helpers.damage import rewrite
from tests.helpers.processes import run

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
        rewrite(stored, whole[:length])
        with pytest.raises(MelError, match="delete it and run python tools/precompute_audio"):
            load_columns(stored, SETTINGS)
    rewrite(stored, whole)
    assert load_columns(stored, SETTINGS) is not None


def test_every_bit_of_the_header(stored):
    """The header says what the bytes after it are."""
    whole = stored.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    original = load_columns(stored, SETTINGS)
    for bit in range(8 * header):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        rewrite(stored, changed)
        try:
            found = load_columns(stored, SETTINGS)
        except MelError:
            continue
        if found is not None:
            assert all(np.isfinite(window).all() for window in found.windows)
            assert len(found.windows) == len(original.windows)


def test_every_byte_of_the_columns(stored):
    whole = stored.read_bytes()
    original = load_columns(stored, SETTINGS)
    noticed = 0
    first = 8 + int.from_bytes(whole[:8], "little")
    for place in range(first, len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1 << place % 8
        rewrite(stored, changed)
        try:
            found = load_columns(stored, SETTINGS)
        except MelError:
            noticed += 1
            continue
        for window, expected in zip(found.windows, original.windows, strict=True):
            np.testing.assert_array_equal(window, expected)
    assert noticed >= len(whole) - first - 1  # one bit of a frame's head means nothing


def test_every_setting_that_makes_other_columns(stored):
    changes = {"window_sizes": (25.0, 50.0, 99.0), "hop_sizes": (10.0, 25.0, 49.0), "n_mels": 5, "eps": 1e-3}
    for name, value in changes.items():
        with pytest.raises(MelError, match="made with windows"):
            load_columns(stored, fingerprint(dataclasses.replace(OPTIONS, **{name: value})))


def other(shape, dtype=np.float16, **metadata):
    """Three arrays, and what metadata to change."""
    return {f"window{i}": np.zeros(shape, dtype) for i in range(3)}, metadata


OTHERS = {
    **{
        f"type {dtype.__name__}": other((2, 4, 9), dtype) for dtype in (np.float32, np.float64, np.int16, np.int8, bool)
    },
    **{f"shape {shape}": other(shape) for shape in ((), (9,), (4, 9), (2, 4, 9, 1), (0, 4, 9), (2, 4, 0), (2, 5, 9))},
    **{f"rate {rate}": other((2, 4, 9), rate=str(rate)) for rate in (0, -1, 1e3, 10**30)},
    **{f"samples {samples}": other((2, 4, 9), samples=str(samples)) for samples in (0, -1, 10**400)},
    "channels": ({**other((2, 4, 9))[0], "window1": np.zeros((1, 4, 9), np.float16)}, {}),
    "two windows": ({name: array for name, array in other((2, 4, 9))[0].items() if name != "window2"}, {}),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_arrays_are_no_columns(tmp_path, kind):
    def save(arrays, **metadata):
        about = {"fingerprint": SETTINGS, "silent": "no", "rate": "8000", "samples": "1600"}
        save_file(arrays, tmp_path / "clip", about | metadata)

    save(other((2, 4, 9))[0])
    assert load_columns(tmp_path / "clip", SETTINGS).rate == 8000
    save(OTHERS[kind][0], **OTHERS[kind][1])
    with pytest.raises(MelError, match="delete it and run python tools/precompute_audio"):
        load_columns(tmp_path / "clip", SETTINGS)


PACKED = np.frombuffer(pack([np.zeros((4, 9), np.float32) for _ in range(3)]), np.uint8)
HOSTILE = {
    **{f"columns {columns}": ({"channel0": PACKED}, {"columns": columns}) for columns in ("", "27", "9 9", "9 18 0")},
    **{
        f"columns {columns}": ({"channel0": PACKED}, {"columns": columns}) for columns in ("9 9 8", "-9 18 18", "a 9 9")
    },
    **{
        f"much: {columns}": ({"channel0": PACKED}, {"columns": columns})
        for columns in (f"{10**8} 9 9", f"9 9 {10**40}")
    },
    **{
        f"channels {channels}": ({"channel0": PACKED}, {"channels": channels}) for channels in ("0", "-1", "2", "x", "")
    },
    **{f"rate {rate}": ({"channel0": PACKED}, {"rate": rate}) for rate in ("0", "-1", "1e3", str(10**30))},
    "no columns": ({"channel0": np.zeros(9, np.uint8)}, {}),
    "no bytes": ({"channel0": np.zeros(0, np.uint8)}, {}),
    "other numbers": ({"channel0": PACKED.astype(np.float32)}, {}),
    "other bytes": ({"channel0": PACKED.view(np.int8)}, {}),
    "rows of bytes": ({"channel0": PACKED[None]}, {}),
    "the other channel only": ({"channel1": PACKED}, {}),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_files_that_claim_what_they_do_not_hold(tmp_path, kind):
    def save(arrays, metadata):
        about = {"fingerprint": SETTINGS, "silent": "no", "rate": "8000", "samples": "1600"}
        save_file(arrays, tmp_path / "clip", about | {"columns": "9 9 9", "channels": "1"} | metadata)

    save({"channel0": PACKED}, {})
    assert [window.shape for window in load_columns(tmp_path / "clip", SETTINGS).windows] == [(1, 4, 9)] * 3
    save(*HOSTILE[kind])
    tracemalloc.start()
    try:
        with pytest.raises(MelError, match="run python tools/precompute_audio"):
            load_columns(tmp_path / "clip", SETTINGS)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.usefixtures("ordinary_rights")
def test_a_store_that_may_not_be_written(tmp_path):
    store = tmp_path / "mels"
    store.mkdir(0o500)
    with pytest.raises(MelError, match="cannot be written"):
        save_columns(columns_path(store, "clip"), None, SETTINGS)
    with pytest.raises(InputError, match=r"mels.jsonl: cannot be written \(Permission denied\)"), summary_writer(store):
        pass


def test_a_file_in_the_place_of_the_store(example):
    done = run("tools/precompute_audio.py", "--data", example / "data.json", "--set", "dataset.dir_mels=training.txt")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith(
        "training.txt/mels.jsonl: cannot be written (File exists); see its folder and the disk"
    )
    assert "Traceback" not in done.stderr


def test_a_full_disk_ends_the_summary_in_one_line(tmp_path):
    """The file size limit makes a write fail, as a full disk does; records before it are kept."""
    record = Record(id="a", status="silent", source="a.mp4", size=1, mtime_ns=1, fingerprint=SETTINGS)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with summary_writer(tmp_path) as write:
        write(record)
        length = (tmp_path / SUMMARY_NAME).stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (length, limits[1]))
        try:
            with pytest.raises(InputError, match="cannot be written"):
                write(dataclasses.replace(record, id="b"))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert set(read_summary(tmp_path)) == {"a"}
