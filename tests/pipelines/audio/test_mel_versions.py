"""Several files of columns for one clip: other audio, other settings, and stores of earlier versions."""

import dataclasses
import json

import numpy as np
import soundfile

from pipelines.audio.mel_file import columns_path
from pipelines.audio.mel_records import SUMMARY_NAME, read_summary, store_audio, summary_writer
from pipelines.audio.mel_store import MelStore
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
