"""What the summary of the log-mel store says of each clip, and what the check at the start makes of it."""

import dataclasses
import os

import numpy as np
import pytest
import soundfile

from pipelines.audio.mel_file import columns_path, fingerprint, load_columns
from pipelines.audio.mel_records import SUMMARY_NAME, read_summary, state
from pipelines.audio.mel_store import MelStore
from pipelines.dataset.audio_files import audio_file, audio_states, source_states
from pipelines.dataset.clips import Dataset
from pipelines.files.errors import ListError
from pipelines.mel import log_mel_picture
from tests.helpers.audio_media import noise, write_clip
from tests.helpers.mel_stores import OPTIONS, check, store_all


def latest(dataset):
    """The newest record of each clip."""
    return {clip_id: records[-1] for clip_id, records in read_summary(dataset.mels).items()}


def test_what_is_stored_and_said(dataset):
    store_all(dataset, "video", "sub/wav", "silent")
    records = latest(dataset)
    said = {name: (record.status, record.source, record.channels) for name, record in records.items()}
    assert said == {
        "video": ("ok", "video.mp4", 1),
        "sub/wav": ("ok", "wav.wav", 2),  # a .wav comes before the video
        "silent": ("silent", "silent.mp4", 0),
    }
    assert records["sub/wav"].seconds == pytest.approx(0.3)
    stat = (dataset.videos / "video.mp4").stat()
    assert (records["video"].size, records["video"].mtime_ns) == (stat.st_size, stat.st_mtime_ns)
    assert check(dataset, "video", "sub/wav", "silent") == (
        [],
        {"video": "video", "sub/wav": "sub/wav", "silent": ""},
        {},
    )
    store = MelStore(dataset.mels, OPTIONS)
    for clip_id in ("video", "sub/wav"):
        direct = log_mel_picture(audio_file(dataset, clip_id), OPTIONS, 2)
        np.testing.assert_allclose(store.spectrogram(clip_id, 2), direct, atol=0.005)


def test_equal_channels_are_stored_once(dataset):
    soundfile.write(dataset.audios / "video.wav", np.tile(noise(0.3, 8000), (2, 1)).T, 8000)
    store_all(dataset, "video")
    assert latest(dataset)["video"].channels == 1
    direct = log_mel_picture(dataset.audios / "video.wav", OPTIONS, 2)
    np.testing.assert_allclose(MelStore(dataset.mels, OPTIONS).spectrogram("video", 2), direct, atol=0.005)


def test_no_more_than_two_channels_are_stored(dataset):
    soundfile.write(dataset.audios / "video.wav", noise(0.3, 8000, 6).T, 8000)
    store_all(dataset, "video")
    columns = load_columns(columns_path(dataset.mels, "video"), fingerprint(OPTIONS), channels=6)
    assert {window.shape[0] for window in columns.windows} == {2}


def test_everything_is_missing_where_there_is_no_store(dataset):
    (problem,), stored, _ = check(dataset, "video", "silent")
    assert problem.startswith(
        f"{dataset.mels}: 2 clips have no audio in the log-mel store; make it with: python tools/"
    )
    assert "--config C.json, and the same --set (clips: video, silent)" in problem
    assert not stored


def test_each_kind_of_problem_is_one_line_with_examples(dataset):
    ids = [f"clip{i}" for i in range(7)]
    for clip_id in ids:
        os.link(dataset.videos / "video.mp4", dataset.videos / f"{clip_id}.mp4")
    store_all(dataset, "video", *ids)
    soundfile.write(dataset.audios / "video.wav", noise(0.3, 8000).T, 8000)
    (outdated,), *_ = check(dataset, "video", *ids)
    assert "1 clip has audio in the log-mel store of another file" in outdated
    assert outdated.endswith("(clips: video)")
    other = dataclasses.replace(OPTIONS, n_mels=17)
    (settings,), *_ = check(dataset, *ids, options=other)
    assert f"7 clips are in the log-mel store with other settings: {fingerprint(OPTIONS)}; expected windows" in settings
    assert settings.endswith("(clips: clip0, clip1, clip2, clip3, clip4, ... and 2 more)")


def test_a_file_that_cannot_be_read(dataset):
    store_all(dataset, "video")
    (dataset.videos / "video.mp4").write_bytes(b"something else")
    store_all(dataset, "video")
    record = latest(dataset)["video"]
    assert record.status == "failed"
    assert "video.mp4" in record.reason
    assert not columns_path(dataset.mels, "video").exists()  # what was stored is of another file
    assert check(dataset, "video") == ([], {}, {"video": record.reason})


def current_state(dataset, clip_id):
    found = source_states(dataset, {clip_id: audio_file(dataset, clip_id)})
    records = read_summary(dataset.mels).get(clip_id, ())
    return state(records, found[clip_id], dataset.mels, fingerprint(OPTIONS))[0]


def test_changes_of_the_source_are_seen(dataset):
    store_all(dataset, "video", "sub/wav", "silent")
    assert [current_state(dataset, name) for name in ("video", "sub/wav", "silent")] == ["ok", "ok", "silent"]
    video, wav = dataset.videos / "video.mp4", dataset.audios / "sub/wav.wav"
    stat = video.stat()
    os.utime(video, ns=(0, stat.st_mtime_ns + 1))
    assert current_state(dataset, "video") == "outdated"
    with video.open("ab") as file:
        file.write(b"\0")
    os.utime(video, ns=(0, stat.st_mtime_ns))
    assert current_state(dataset, "video") == "outdated"  # another size, the same time
    wav.unlink()
    assert current_state(dataset, "sub/wav") == "outdated"  # the video gives the audio now
    columns_path(dataset.mels, "silent").unlink()
    assert current_state(dataset, "silent") == "missing"


def test_a_source_that_is_gone(dataset):
    store_all(dataset, "video")
    (dataset.videos / "video.mp4").unlink()
    records = read_summary(dataset.mels)["video"]
    assert state(records, [], dataset.mels, fingerprint(OPTIONS))[0] == "outdated"


def test_the_store_moves_with_its_data_set(dataset, tmp_path_factory):
    store_all(dataset, "video", "sub/wav")
    moved = tmp_path_factory.mktemp("elsewhere") / "data"
    os.rename(dataset.root, moved)
    assert check(Dataset(data_dir=str(moved)), "video", "sub/wav").problems == []


def test_half_a_line_costs_one_clip(dataset, caplog):
    """An interruption in the middle of a line spoils that line only."""
    store_all(dataset, "video", "silent")
    summary = dataset.mels / SUMMARY_NAME
    summary.write_bytes(summary.read_bytes()[:-20])
    store_all(dataset, "sub/wav")
    assert set(read_summary(dataset.mels)) == {"video", "sub/wav"}
    assert "a damaged line is ignored" in caplog.text


def test_the_last_line_of_a_clip_counts(dataset):
    store_all(dataset, "video")
    write_clip(dataset.videos / "video.mp4", None)
    store_all(dataset, "video")
    assert latest(dataset)["video"].status == "silent"
    assert len((dataset.mels / SUMMARY_NAME).read_text().splitlines()) == 2


def test_a_frame_folder_is_silent_unless_there_is_a_video_or_wav(dataset):
    for clip_id in ("video", "sub/wav", "images"):
        (dataset.frames / clip_id).mkdir(parents=True)
    assert audio_file(dataset, "sub/wav").name == "wav.wav"
    assert audio_file(dataset, "video").name == "video.mp4"
    assert audio_file(dataset, "images") == dataset.frames / "images"
    with pytest.raises(ListError, match="no video"):
        audio_file(dataset, "nothing")
    store_all(dataset, "video", "sub/wav", "images")
    store = MelStore(dataset.mels, OPTIONS)
    unknown = [(clip_id, None) for clip_id in ("video", "sub/wav", "images")]
    assert store.check(audio_states(dataset, dict(unknown))[0]) == (
        [],
        {"video": "video", "sub/wav": "sub/wav", "images": ""},
        {},
    )
    soundfile.write(dataset.audios / "images.wav", noise(0.3, 8000).T, 8000)
    assert (
        "1 clip has audio in the log-mel store of another file"
        in store.check(audio_states(dataset, dict(unknown))[0]).problems[0]
    )
