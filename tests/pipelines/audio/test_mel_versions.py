"""Several files of columns for one clip: other audio, other settings, and stores of earlier versions."""

import dataclasses
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from safetensors.numpy import load_file

from pipelines.audio import mel_records
from pipelines.audio.mel_file import columns_path
from pipelines.audio.mel_records import SUMMARY_NAME, read_summary, store_audio, summary_writer
from pipelines.audio.mel_store import MelStore
from pipelines.dataset.audio_files import audio_states
from pipelines.dataset.clips import Dataset
from pipelines.mel import log_mel_picture
from tests.helpers.audio_media import noise, tone, write_clip
from tests.helpers.mel_stores import OPTIONS, check, store_all


def test_other_audio_of_a_clip_is_stored_beside_and_equal_audio_once(dataset):
    """A .wav and the video, each chosen by its own settings, and the same audio in another file."""
    video, wav = dataset, dataclasses.replace(dataset, dir_audios="recorded")
    wav.audios.mkdir()
    soundfile.write(wav.audios / "video.wav", noise(0.3, 8000).T, 8000)
    store_all(video, "video")
    store_all(wav, "video")
    (first,), (second,) = (check(one, "video").stored.values() for one in (video, wav))
    assert (first, len(list(dataset.mels.glob("*.safetensors")))) == ("video", 2)
    store = MelStore(dataset.mels, OPTIONS)
    for name, source in ((first, dataset.videos / "video.mp4"), (second, wav.audios / "video.wav")):
        np.testing.assert_allclose(store.spectrogram(name, 1), log_mel_picture(source, OPTIONS, 1), atol=0.005)

    same = dataclasses.replace(dataset, dir_videos="same")
    same.videos.mkdir()
    (same.videos / "video.mp4").write_bytes((dataset.videos / "video.mp4").read_bytes() + b"\0\0\0\x08free")
    before = columns_path(dataset.mels, "video").stat().st_mtime_ns
    store_all(same, "video")
    assert check(same, "video").stored == {"video": "video"}
    assert columns_path(dataset.mels, "video").stat().st_mtime_ns == before

    write_clip(same.videos / "video.mp4", tone(900, 0.3, 16000))  # changed: the audio of the others stays
    store_all(same, "video")
    assert [check(one, "video").problems for one in (video, wav, same)] == [[], [], []]
    assert len({check(one, "video").stored["video"] for one in (video, wav, same)}) == 3


def test_a_store_of_before_is_used_and_never_overwritten(dataset):
    store_all(dataset, "video")
    summary = dataset.mels / SUMMARY_NAME
    line = json.loads(summary.read_text())
    summary.write_text(json.dumps({key: line[key] for key in line if key not in ("folder", "audio", "stored")}) + "\n")
    assert check(dataset, "video") == ([], {"video": "video"}, {})
    other = dataclasses.replace(dataset, dir_videos="other")
    other.videos.mkdir()
    write_clip(other.videos / "video.mp4", tone(900, 0.3, 16000))
    store_all(other, "video")
    assert [check(one, "video").problems for one in (dataset, other)] == [[], []]


def test_columns_that_were_made_anew_with_other_settings_are_no_longer_those_of_other_files(dataset):
    same = dataclasses.replace(dataset, dir_videos="same")
    same.videos.mkdir()
    (same.videos / "video.mp4").write_bytes((dataset.videos / "video.mp4").read_bytes())
    store_all(dataset, "video")
    store_all(same, "video")
    other = dataclasses.replace(OPTIONS, n_mels=17)
    with summary_writer(dataset.mels) as write:
        write(
            store_audio(
                dataset.mels,
                dataset.data_dir,
                "video",
                dataset.videos / "video.mp4",
                other,
                read_summary(dataset.mels)["video"],
            )
        )
    assert check(dataset, "video", options=other).problems == []
    assert "1 clip has audio in the log-mel store of another file" in check(same, "video").problems[0]


def test_a_store_of_whole_columns_is_read_and_nothing_of_it_is_computed_again(tmp_path, monkeypatch):
    """old_store.tar.xz was written when columns were stored as float16: four .wav files and their store."""
    with tarfile.open(Path(__file__).with_name("old_store.tar.xz")) as archive:
        archive.extractall(tmp_path, filter="data")
    dataset = Dataset(data_dir=str(tmp_path / "old_store"))
    names, store = ("stereo", "mono", "equal"), MelStore(dataset.mels, OPTIONS)
    states, _ = audio_states(dataset, dict.fromkeys((*names, "silent")))
    found = store.check(states, 2)
    assert (found.problems, found.stored) == ([], {name: name for name in names} | {"silent": ""})
    for name in names:
        direct = log_mel_picture(dataset.audios / f"{name}.wav", OPTIONS, 2)
        for audio_segments in (1, 2):
            shown = store.spectrogram(name, audio_segments)
            np.testing.assert_allclose(shown, direct[:audio_segments], atol=0.004)
    assert (store.spectrogram("silent", 1) == np.float32(np.log(OPTIONS.eps))).all()

    same = dataclasses.replace(dataset, dir_audios="same")  # other files with the same audio
    same.audios.mkdir()
    for name in names:
        (same.audios / f"{name}.wav").write_bytes((dataset.audios / f"{name}.wav").read_bytes())
    monkeypatch.setattr(mel_records, "log_mel_columns", None)
    before = {path.name: path.read_bytes() for path in dataset.mels.glob("*.safetensors")}
    store_all(same, *names, audio_segments=2)
    assert check(same, *names, audio_segments=2).problems == []
    assert {path.name: path.read_bytes() for path in dataset.mels.glob("*.safetensors")} == before


@pytest.fixture
def computed(monkeypatch):
    """How many channels were transformed, each time."""
    channels, compute = [], mel_records.log_mel_columns

    def counting(audio, *arguments):
        channels.append(len(audio))
        return compute(audio, *arguments)

    monkeypatch.setattr(mel_records, "log_mel_columns", counting)
    return channels


def test_the_other_channel_is_added_when_it_is_asked_for(dataset, computed):
    path = columns_path(dataset.mels, "sub/wav")
    store_all(dataset, "sub/wav", audio_segments=2)
    both = load_file(path)
    store_all(dataset, "sub/wav", audio_segments=1)
    assert both.keys() - load_file(path).keys() == {"channel1"}
    assert check(dataset, "sub/wav", audio_segments=1).problems == []
    (problem,) = check(dataset, "sub/wav", audio_segments=2).problems
    assert "1 clip has one channel in the log-mel store, where model.audio_segments 2 asks for both" in problem
    assert "add the other with: python tools/precompute_audio.py --data" in problem
    store_all(dataset, "sub/wav", audio_segments=2)
    assert computed == [2, 1, 1]  # the last time, the right channel only
    assert load_file(path).keys() == both.keys()
    for name, channel in load_file(path).items():
        np.testing.assert_array_equal(channel, both[name])
    assert check(dataset, "sub/wav", audio_segments=2).problems == []


def test_a_damaged_channel_is_computed_again_with_the_other(dataset, computed):
    path = columns_path(dataset.mels, "sub/wav")
    store_all(dataset, "sub/wav", audio_segments=1)
    path.write_bytes(path.read_bytes()[:-9])
    store_all(dataset, "sub/wav", audio_segments=2)
    assert computed == [1, 2]
    direct = log_mel_picture(dataset.audios / "sub/wav.wav", OPTIONS, 2)
    np.testing.assert_allclose(MelStore(dataset.mels, OPTIONS).spectrogram("sub/wav", 2), direct, atol=0.005)


@pytest.mark.parametrize("clip_id", ["video", "equal", "silent"])
def test_audio_of_one_channel_is_complete(dataset, computed, clip_id):
    write_clip(dataset.videos / "equal.mp4", None)
    soundfile.write(dataset.audios / "equal.wav", np.tile(noise(0.3, 8000), (2, 1)).T, 8000)
    store_all(dataset, clip_id, audio_segments=1)
    assert check(dataset, clip_id, audio_segments=2).problems == []
    assert computed == ([] if clip_id == "silent" else [1])


def test_a_channel_counts_for_every_file_with_the_same_audio(dataset, computed):
    same = dataclasses.replace(dataset, dir_audios="same")
    (same.audios / "sub").mkdir(parents=True)
    (same.audios / "sub/wav.wav").write_bytes((dataset.audios / "sub/wav.wav").read_bytes())
    store_all(dataset, "sub/wav", audio_segments=1)
    store_all(same, "sub/wav", audio_segments=2)
    store_all(same, "sub/wav", audio_segments=1)
    assert computed == [1, 1]
    assert [check(one, "sub/wav", audio_segments=2).problems for one in (dataset, same)] == [[], []]


@pytest.mark.parametrize("field", ["channels", "of_channels"])
def test_a_line_whose_channels_are_no_number(dataset, field, caplog):
    store_all(dataset, "sub/wav")
    summary = dataset.mels / SUMMARY_NAME
    summary.write_text(json.dumps(json.loads(summary.read_text()) | {field: "2"}) + "\n")
    assert "no audio in the log-mel store" in check(dataset, "sub/wav", audio_segments=2).problems[0]
    assert "a damaged line is ignored" in caplog.text
