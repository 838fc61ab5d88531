"""What is wrong with the data is found before training starts, all of it at once."""

import json
import logging
import os
import shutil

import pytest

from pipelines.dataset.list_file import SPLITS
from pipelines.dataset.load import DataError, load_clips, load_data
from tests.helpers.media import write_video
from tests.helpers.processes import ROOT, called, run
from tsam_dali.config.load import config_from_dict
from tsam_dali.train import main

EXAMPLE_CONFIG = ROOT / "config/example_config.json"
ALONE = ("--workers", 1)


@pytest.fixture(scope="module")
def indexed(example, tmp_path_factory):
    """The example data with data.json and an index; do not change it."""
    folder = tmp_path_factory.mktemp("indexed")
    copy_data(example, folder)
    load_clips(settings(folder))
    return folder


@pytest.fixture
def data(indexed, tmp_path):
    """A copy that a test may damage (the videos are links)."""
    copy_data(indexed, tmp_path / "data")
    shutil.copy(indexed / "index.jsonl", tmp_path / "data")
    return tmp_path / "data"


def copy_data(source, folder):
    (folder / "videos").mkdir(parents=True)
    for video in (source / "videos").iterdir():
        os.link(video, folder / "videos" / video.name)
    for name in ("training.txt", "validation.txt"):
        shutil.copy(source / name, folder)
    dataset = json.loads((ROOT / "config/example_data.json").read_text())
    dataset["dataset"]["data_dir"] = str(folder)
    (folder / "data.json").write_text(json.dumps(dataset))


def settings(folder, **sections):
    sections = {"model": {"audio_segments": 0}, **sections}
    return config_from_dict({"dataset": {"data_dir": str(folder)}, **sections})


def problems(config) -> str:
    with pytest.raises(DataError) as caught:
        load_clips(config)
    return str(caught.value)


def replace_video(path, content: bytes):
    path.unlink()  # the file itself belongs to all tests
    path.write_bytes(content)


def test_clips_of_both_lists_in_order(data):
    loaded = load_data(settings(data), SPLITS)
    clips = loaded.clips
    lines = [line.split() for line in (data / "training.txt").read_text().splitlines()]
    assert [[clip.id, str(clip.label)] for clip in clips["training"]] == lines
    assert len(clips["validation"]) == 9
    assert loaded.num_class == 4
    assert all(clip.frames > 10 and clip.height >= 64 and clip.path.endswith(".mp4") for clip in clips["training"])


def test_the_index_is_used_again_until_a_file_changes(data, example):
    first = load_clips(settings(data))
    index = data / "index.jsonl"
    records = [json.loads(line) for line in index.read_text().splitlines()]
    assert len(records) == 33
    for record in records:
        record["frames"] += 1000
    index.write_text("".join(json.dumps(record) + "\n" for record in records))
    changed = first["training"][0]
    os.utime(changed.path)
    second = load_clips(settings(data))
    assert second["training"][0].frames == changed.frames
    assert second["training"][1].frames == first["training"][1].frames + 1000


def test_a_missing_folder(tmp_path):
    assert "is not a folder" in problems(settings(tmp_path / "none"))
    found = problems(settings(tmp_path))
    assert "dataset.dir_videos" in found
    assert "training list" in found
    assert "validation list" in found


def test_mistakes_of_both_lists_are_named_together(data):
    (data / "training.txt").write_text("a 0\nb\n../c 1\n")
    (data / "validation.txt").write_text("\n")
    found = problems(settings(data))
    assert "training.txt:2: expected `ID label`" in found
    assert "training.txt:3: the id leaves the data folder" in found
    assert "validation.txt: the list is empty" in found


def test_label_gaps_and_missing_videos_are_named_together(data):
    with (data / "training.txt").open("a") as file:
        file.write("not_there 6\n")
    found = problems(settings(data))
    assert "no clip has label 4, 5" in found
    assert "not_there: no video with one of the endings" in found


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"ffconcat version 1.0\nfile other.mp4\n"])
def test_a_video_that_cannot_be_opened(data, content):
    broken = next((data / "videos").iterdir())
    replace_video(broken, content)
    found = problems(settings(data))
    assert "1 of " in found
    assert broken.name in found
    assert "pipeline.max_bad_fraction=0.01 allows" in found


def test_few_broken_videos_are_left_out(data, caplog):
    broken = load_clips(settings(data))["training"][3]
    replace_video(data / "videos" / f"{broken.id}.mp4", b"junk")
    with caplog.at_level(logging.WARNING):
        clips = load_clips(settings(data, pipeline={"max_bad_fraction": 0.2}))
    assert len(clips["training"]) == 23
    assert broken.id not in {clip.id for clip in clips["training"]}
    assert f"{broken.id}.mp4" in caplog.text


def test_a_missing_mel_store_is_named_with_the_command(data):
    found = problems(settings(data, model={"audio_segments": 1}))
    assert "tools/precompute_audio.py" in found


@pytest.fixture(scope="module")
def mels(indexed):
    """A log-mel store of the example's settings; do not change it."""
    made = run("tools/precompute_audio.py", "--data", indexed / "data.json", "--config", EXAMPLE_CONFIG, *ALONE)
    assert made.returncode == 0, made.stderr
    return indexed / "mels"


@pytest.fixture
def with_audio(data, mels):
    """The data with a log-mel store."""
    shutil.copytree(mels, data / "mels")
    return data


def audio_settings(folder, **changes):
    sections = json.loads(EXAMPLE_CONFIG.read_text()) | {"dataset": {"data_dir": str(folder)}}
    for section, values in changes.items():
        sections[section] = sections.get(section, {}) | values
    return config_from_dict(sections)


def test_a_mel_store_that_is_outdated_or_made_otherwise(with_audio):
    assert all(clip.audio for clip in load_clips(audio_settings(with_audio))["training"])
    images = json.loads(EXAMPLE_CONFIG.read_text())["data_augmentation"]
    other = {"audio_image_param": images["audio_image_param"] | {"n_mels": 32}}
    found = problems(audio_settings(with_audio, data_augmentation=other))
    assert "33 clips are in the log-mel store with other settings" in found
    assert "32 mels" in found
    clip = load_clips(audio_settings(with_audio))["training"][0]
    content = (with_audio / "videos" / f"{clip.id}.mp4").read_bytes()
    replace_video(with_audio / "videos" / f"{clip.id}.mp4", content)
    found = problems(audio_settings(with_audio))
    assert "1 clip has audio in the log-mel store of another file, or of the same before it changed" in found
    assert "python tools/precompute_audio.py --data" in found


def test_the_command_stops_before_training_and_names_everything(with_audio):
    (with_audio / "training.txt").write_text("a\nb 0\n../c 0\n")
    (with_audio / "validation.txt").unlink()
    data = ("--data", with_audio / "data.json")
    done = called(main, *data, "--set", "modle.arch=resnet18", "--set", "training_param.epoch=3")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-2:] == [
        "error: unknown key training_param.epoch; did you mean training_param.epochs?",
        "error: unknown key modle; did you mean model?",
    ]
    done = called(main, *data)
    assert done.returncode == 2
    assert "validation.txt' does not exist" in done.stderr
    assert "Traceback" not in done.stderr


def test_clips_whose_audio_cannot_be_read_or_is_not_there(with_audio, caplog):
    clips = load_clips(audio_settings(with_audio))["training"]
    (with_audio / "audios").mkdir()
    (with_audio / "audios" / f"{clips[0].id}.wav").write_bytes(b"junk")
    write_video(with_audio / "videos" / "quiet.mp4", 20)
    with (with_audio / "training.txt").open("a") as file:
        file.write("quiet 0\n")
    made = run("tools/precompute_audio.py", "--data", with_audio / "data.json", "--config", EXAMPLE_CONFIG, *ALONE)
    assert made.returncode == 1
    found = problems(audio_settings(with_audio))
    assert "1 of 25 clips of the training list have audio that cannot be read" in found
    assert f"{clips[0].id}.wav" in found
    forgiving = {"max_bad_fraction": 0.2}
    heard = load_clips(audio_settings(with_audio, pipeline=forgiving))["training"]
    assert [clip.id for clip in heard] == [clip.id for clip in clips[1:]] + ["quiet"]
    assert [clip.id for clip in heard if not clip.audio] == ["quiet"]
    dropped = load_clips(audio_settings(with_audio, pipeline=forgiving, model={"missing_audio": "drop"}))["training"]
    assert [clip.id for clip in dropped] == [clip.id for clip in clips[1:]]
    assert "have no clip" not in caplog.text
    refused = problems(audio_settings(with_audio, pipeline=forgiving, model={"missing_audio": "error"}))
    assert "quiet: has no audio, and model.missing_audio is error" in refused


def test_a_class_that_loses_all_its_clips_stays_a_class(data, caplog):
    write_video(data / "videos" / "alone.mp4", 20)
    with (data / "training.txt").open("a") as file:
        file.write("alone 4\n")
    dataset = {"data_dir": str(data), "class_names": ["a", "b", "c", "d", "lone"]}
    loaded = load_data(settings(data, dataset=dataset), SPLITS)
    assert loaded.num_class == 5
    assert "of the validation list" not in caplog.text  # it never had one
    replace_video(data / "videos" / "alone.mp4", b"junk")
    loaded = load_data(settings(data, dataset=dataset, pipeline={"max_bad_fraction": 0.5}), SPLITS)
    assert max(clip.label for clip in loaded.clips["training"]) == 3
    assert loaded.num_class == 5
    assert "1 class of the training list has no clip left: lone" in caplog.text


def test_a_single_class_is_a_warning(data, caplog):
    lists = [data / "training.txt", data / "validation.txt"]
    for path in lists:
        path.write_text("".join(line for line in path.read_text().splitlines(True) if line.endswith(" 0\n")))
    assert load_data(settings(data), SPLITS).num_class == 1
    assert "all clips of the training list are of one class" in caplog.text
