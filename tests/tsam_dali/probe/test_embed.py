"""Features of clips: those of the network, the same bytes however the work was cut, unreadable clips named."""

import shutil

import numpy as np
import pytest
import torch

from tests.helpers.processes import TORCHRUN, called, run
from tests.tsam_dali.probe.feature_data import SMALL
from tsam_dali.embed import main
from tsam_dali.probe import embedding
from tsam_dali.probe.store import read_features


def content(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.*")}


def test_features_are_those_of_the_network(whole):
    features = read_features(whole)
    frames, audio = features.read("frames"), features.read("audio")
    assert frames.shape == (24, 3, 512)
    assert audio.shape == (24, 1, 512)
    np.testing.assert_allclose(features.read("frames_mean"), frames.mean(1), atol=1e-6)
    np.testing.assert_allclose(features.read("audio_mean"), audio.mean(1), atol=1e-6)
    assert features.read("thumbnail").shape[:2] == (24, 3)
    assert features.label.tolist() == [i % 3 for i in range(24)]
    assert features.ids[:2] == ["person0_take0", "person0_take1"]
    assert features.validation.tolist() == [False] * 18 + [True] * 6
    assert features.has_audio
    assert len(np.unique(frames[:, 0], axis=0)) == 24


def test_a_stopped_command_goes_on_to_the_same_bytes(whole, data, trained, tmp_path, monkeypatch):
    out, written = tmp_path / "features", []

    def write(path, *arguments):
        if len(written) == 1:
            raise KeyboardInterrupt
        written.append(path.name)
        original(path, *arguments)

    original = embedding.write_part
    monkeypatch.setattr(embedding, "write_part", write)
    assert called(main, "--data", data, "--checkpoint", trained, out, *SMALL).returncode == 130
    monkeypatch.undo()
    assert "2 of 3 files are missing" in called(main_probe(), out).stderr
    again = called(main, "--data", data, "--checkpoint", trained, out, *SMALL)
    assert "1 of 3 files are there already" in again.stderr
    assert content(out) == content(whole)


def main_probe():
    from tsam_dali.probe.__main__ import main

    return main


@pytest.mark.ci
def test_several_ranks_write_the_same_features(whole, data, trained, tmp_path):
    launch = (*TORCHRUN, 2, "-m", "tsam_dali.embed")
    done = run(*launch, "--data", data, "--checkpoint", trained, tmp_path / "features", "--device", "cpu", *SMALL)
    assert done.returncode == 0, done.stderr
    assert content(tmp_path / "features").keys() == content(whole).keys()
    ours, theirs = read_features(tmp_path / "features"), read_features(whole)
    assert ours.ids == theirs.ids
    for name in ("frames", "audio"):
        np.testing.assert_allclose(ours.read(name), theirs.read(name), atol=1e-3)  # other threads


def test_other_settings_or_lists_are_refused(whole, data, trained):
    done = called(main, "--data", data, "--checkpoint", trained, whole, *SMALL, "--set", "model.video_segments=2")
    assert done.returncode == 2
    assert "video_segments: 3 -> 2" in done.stderr
    assert "choose another folder" in done.stderr


def test_unreadable_clips_are_named_and_left_out(data, trained, tmp_path):
    shutil.copytree(data.parent, tmp_path / "data")
    (tmp_path / "data/videos/person0_take1.mp4").write_bytes(b"no video")
    own = tmp_path / "data/data.json"
    own.write_text(data.read_text().replace(str(data.parent), str(tmp_path / "data")))
    done = called(main, "--data", own, "--checkpoint", trained, tmp_path / "out", *SMALL)
    assert done.returncode == 0, done.stderr
    assert "23 clips" in done.stdout
    assert "left out, as they cannot be read: 1 clip\nleft out: person0_take1: " in done.stdout
    assert "person0_take1" not in read_features(tmp_path / "out").ids


def test_a_backbone_with_weights_of_images(data, tmp_path, trained):
    backbone = torch.load(trained, weights_only=True)["model"]
    weights = {name.removeprefix("backbone."): value for name, value in backbone.items() if "backbone" in name}
    torch.save(weights, tmp_path / "resnet10t.pth")
    arch = ("--arch", "resnet10t", "--weights", tmp_path / "resnet10t.pth")
    small = ("--set", "data_augmentation.video_image_param.output_size=32", "--set", "model.video_segments=2")
    done = called(main, "--data", data, *arch, tmp_path / "out", *SMALL, *small)
    assert done.returncode == 0, done.stderr
    assert "512 features of 2 frames and 4 audio segments" in done.stdout

    (data.parent / "audios").mkdir()  # as where audio lies in .wav files
    try:
        done = called(main, "--data", data, *arch, tmp_path / "silent", *SMALL, *small)
    finally:
        (data.parent / "audios").rmdir()
    assert "no log-mel store, so the frames are used alone" in done.stderr
    assert "512 features of 2 frames and 0 audio segments" in done.stdout
    assert not read_features(tmp_path / "silent").has_audio
