"""What a probe chooses on the inner folds, which labels are suspect, and which features belong together."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tsam_dali.probe.checkpoint import save_probe
from tsam_dali.probe.classifiers import NEIGHBORS, STRENGTHS, Linear, fit_linear, knn_probabilities
from tsam_dali.probe.embedding import _begin, _filled
from tsam_dali.probe.folds import Fold
from tsam_dali.probe.store import EmbeddingError, read_features, write_about, write_part
from tsam_dali.probe.suspects import find_suspects


def fold(clips: int) -> Fold:
    """It trains on the even rows, and chooses with either half of these."""
    rows = np.arange(0, clips, 2)
    halves = rows[::2], rows[1::2]
    return Fold("one", rows, rows + 1, [halves, halves[::-1]])


def test_the_regularization_is_that_which_is_best_on_the_inner_folds():
    """Strong where the labels are noise, weak where the features say it all."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 200)
    noise = rng.normal(size=(200, 20))
    assert fit_linear(noise, label, 2, fold(200)).chosen <= STRENGTHS[2]
    clear = noise + 8 * label[:, None]
    assert fit_linear(clear, label, 2, fold(200)).chosen == STRENGTHS[-1]


def test_the_number_of_neighbors_is_that_which_is_best_on_the_inner_folds():
    """Many where labels are noisy, one where each clip has a double and little else in common."""
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 2, 400)
    noisy = np.where(rng.random(400) < 0.3, 1 - truth, truth)
    clouds = rng.normal(size=(400, 8)) + 4 * np.eye(8)[truth]
    assert knn_probabilities(clouds, noisy, 2, fold(400))[1] >= NEIGHBORS[2]
    doubles = np.repeat(rng.normal(size=(50, 8)), 8, 0) + rng.normal(size=(400, 8)) / 100
    kinds = np.repeat(rng.integers(0, 2, 50), 8)
    assert knn_probabilities(doubles, kinds, 2, fold(400))[1] == 1


def test_a_label_is_not_suspect_where_it_is_the_more_probable_one():
    """Clip 2 is of class 1 as much as those labelled so, and yet more of its own."""
    probabilities = np.array([[0.95, 0.05], [0.95, 0.05], [0.6, 0.4], [0.65, 0.35], [0.7, 0.3], [0.9, 0.1]])
    label = np.array([0, 0, 0, 1, 1, 1])
    assert [one.row for one in find_suspects(probabilities, label)] == [5]


def test_a_checkpoint_needs_the_weights_of_its_features(whole, tmp_path):
    features = read_features(whole)
    linear = Linear(np.zeros((3, 512)), np.zeros(3), 1.0)
    other = dataclasses.replace(features, about=features.about | {"weights": "0" * 64})
    with pytest.raises(EmbeddingError, match="missing, or not the weights"):
        save_probe(tmp_path / "probe", SimpleNamespace(features=other), "frames", linear)
    assert not (tmp_path / "probe").exists()


def test_other_weights_and_other_clips_are_refused(tmp_path):
    about = {"config": {}, "lists": {"training": "a"}, "files": {"training": 1}}
    networks = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        networks.append(SimpleNamespace(backbone=torch.nn.Linear(2, 2)))
    _begin(tmp_path, dict(about), networks[0])
    _begin(tmp_path, dict(about), networks[1])
    with pytest.raises(EmbeddingError, match="weights: '"):
        _begin(tmp_path, dict(about), networks[2])
    with pytest.raises(EmbeddingError, match="lists.training: 'a' -> 'b'"):
        _begin(tmp_path, about | {"lists": {"training": "b"}}, networks[0])
    assert len(list(tmp_path.iterdir())) == 2


def test_every_file_begins_with_a_batch_of_its_own():
    """Else the clips of a batch, and with them the rounding, would depend on where the work was stopped."""
    assert ["".join(_filled(list(clips), 4)) for clips in ("ab", "abcd", "abcde")] == ["abbb", "abcd", "abcdeeee"]


def test_a_clip_of_both_lists_counts_once_and_parts_may_be_damaged(tmp_path):
    write_about(tmp_path, {"files": {"training": 1, "validation": 1}, "left_out": {"training": {"x": "gone"}}})
    for split, ids in (("training", ["a", "b"]), ("validation", ["c", "b"])):
        values = np.array([[ord(name)] for name in ids], np.float32)
        write_part(tmp_path / f"{split}_00000.safetensors", {"frames_mean": values}, ids, {}, {})
    features = read_features(tmp_path)
    assert features.ids == ["a", "b", "c"]
    assert features.validation.tolist() == [False, False, True]
    assert features.read("frames_mean").ravel().tolist() == [ord(name) for name in "abc"]
    assert features.unreadable == {"x": "gone"}
    (tmp_path / "validation_00000.safetensors").write_bytes(b"junk")
    with pytest.raises(EmbeddingError, match=r"validation_00000.safetensors: damaged .*; delete it and start"):
        read_features(tmp_path)
