"""Probes: scores of clips that they were not trained on, whole groups, the report, and the checkpoint as a network."""

import csv
import json

import numpy as np
import pytest
import torch

from tests.helpers.processes import called
from tsam_dali import export
from tsam_dali.evaluate.__main__ import main as evaluate
from tsam_dali.inference.predictor import Predictor
from tsam_dali.model import build_model
from tsam_dali.probe.__main__ import main
from tsam_dali.probe.attentive import attentive_probabilities
from tsam_dali.probe.checkpoint import save_probe
from tsam_dali.probe.classifiers import fit_linear, knn_probabilities
from tsam_dali.probe.folds import Fold, make_folds
from tsam_dali.probe.options import ProbeOptions
from tsam_dali.probe.run import clip_vectors, fit_final, probe
from tsam_dali.probe.scores import over_folds
from tsam_dali.probe.store import read_features
from tsam_dali.probe.suspects import find_suspects
from tsam_dali.weights.load import load_weights

PEOPLE = "person[0-9]+"


@pytest.fixture(scope="module")
def probed(whole, tmp_path_factory):
    """The results of the command, and what it said."""
    out = tmp_path_factory.mktemp("probed")
    done = called(main, whole, "--group", PEOPLE, "--folds", 4, "--output", out)
    assert done.returncode == 0, done.stderr
    return out, done.stdout


@pytest.fixture(scope="module")
def probes(whole):
    return probe(read_features(whole), ProbeOptions(folds=4, group=PEOPLE, linear_only=True))


def test_the_table_names_each_probe_with_its_spread(probed):
    out, said = probed
    scores = json.loads((out / "scores.json").read_text())
    kinds = [(one["probe"], one["input"]) for one in scores]
    inputs = ["frames", "audio", "both"]
    expected = [("linear", name) for name in (*inputs, "average")]
    assert kinds == expected + [(kind, name) for kind in ("k-NN", "attentive") for name in inputs]
    for one in scores:
        found = [fold["accuracy"] for fold in one["folds"]]
        assert one["mean"]["accuracy"] == pytest.approx(np.mean(found))
        assert one["spread"]["accuracy"] == pytest.approx(np.std(found, ddof=1))
        assert f"{one['probe']}, {one['input']}".ljust(20) in said
    assert scores[0]["mean"]["accuracy"] > 0.9  # the pictures say it all
    assert "24 clips, 3 classes; always the largest class: 33.3%" in said


def test_the_report_shows_everything(probed):
    out, said = probed
    page = (out / "report.html").read_text()
    titles = ["Probes", "Confusion", "Classes", "Nearest neighbors", "Map", "Suspect labels", "Settings"]
    assert [title for title in titles if f"<h2>{title}</h2>" not in page] == []
    assert "could not be drawn" not in page
    assert "person0_take0" in page or "person1_take3" in page
    rows = list(csv.DictReader((out / "suspects.csv").open()))
    assert f"{len(rows)} suspect label" in said
    assert (out / "suspects.png").stat().st_size > 1000


def test_groups_are_whole_and_each_clip_is_scored_once(whole):
    features = read_features(whole)
    folds, everything = make_folds(features, ProbeOptions(folds=4, group=PEOPLE))
    assert sorted(np.concatenate([fold.scored for fold in folds])) == list(range(24))
    people = np.array([name.split("_")[0] for name in features.ids])
    pairs = [(fold.training, fold.scored) for fold in folds]
    pairs += [pair for fold in folds for pair in fold.inner]
    for training, held in pairs:
        assert not set(people[training]) & set(people[held])
    for fold in folds:
        assert not {row for pair in fold.inner for rows in pair for row in rows} & set(fold.scored)
    assert len(everything.training) == 24
    (lists,), final = make_folds(features, ProbeOptions(split="lists"))
    assert lists.training.tolist() == final.training.tolist() == list(range(18))


@pytest.mark.parametrize("inputs", ["frames", "average"])
def test_the_checkpoint_predicts_what_the_probe_does(probes, inputs, data, tmp_path):
    linear = fit_final(probes, inputs)
    save_probe(tmp_path / "probe", probes, inputs, linear)
    features = probes.features
    expected = linear.probabilities(clip_vectors(features)[inputs])
    paths = [data.parent / "videos" / f"{name}.mp4" for name in features.ids]
    found = [one.probabilities.numpy() for one in Predictor(tmp_path / "probe").predict_all(paths)]
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert np.ptp(expected[:, 0]) > 0.1


def test_the_checkpoint_is_evaluated_exported_and_fine_tuned(probes, tmp_path):
    linear, features = fit_final(probes, "frames"), probes.features
    save_probe(tmp_path / "probe", probes, "frames", linear)
    changes = ("--protocol", "centre", "--output", tmp_path / "out", "--set", "pipeline.workers=0")
    done = called(evaluate, "--checkpoint", tmp_path / "probe", *changes)
    assert done.returncode == 0, done.stderr
    right = linear.probabilities(clip_vectors(features)["frames"]).argmax(1) == features.label
    scores = json.loads((tmp_path / "out/summary.json").read_text())["scores"]
    assert scores["accuracy"] == right[features.validation].mean()
    done = called(export.main, "--checkpoint", tmp_path / "probe", "--safetensors", tmp_path / "shared")
    assert done.returncode == 0, done.stderr
    config = features.config
    network = build_model(config, 3)
    report = load_weights(network, tmp_path / "shared", class_names=config.dataset.class_names)
    assert report.head.startswith("kept")
    assert torch.equal(network.head.weight.double(), torch.from_numpy(linear.weight).float().double())


def test_other_tasks_and_too_few_groups_are_refused(whole, tmp_path):
    done = called(main, whole, "--group", "take")
    assert done.returncode == 2
    assert "--folds 5: there is only 1 group" in done.stderr
    done = called(main, whole, "--folds", 1)
    assert "--folds" in done.stderr
    about = json.loads((whole / "embedding.json").read_text())
    about["config"]["dataset"] |= {"task": "labels"}
    features = read_features(whole)
    features.about["config"]["dataset"]["task"] = "labels"
    with pytest.raises(ValueError, match="probes are for classes only"):
        probe(features, ProbeOptions())


def clips(rng, clips=60, classes=2, segments=4, features=16):
    """Random features and labels, and a fold that trains on two thirds."""
    label = np.arange(clips) % classes
    x = rng.normal(size=(clips, segments, features)).astype(np.float32)
    rows = np.arange(clips)
    held = rows % 3 == 0
    inner = [(rows[~held][:20], rows[~held][20:]), (rows[~held][20:], rows[~held][:20])]
    return x, label, Fold("one", rows[~held], rows[held], inner)


def test_only_the_attentive_probe_knows_the_order():
    x, label, fold = clips(np.random.default_rng(0), 90)
    x[:, :, 0] = np.where(label[:, None] == 1, [2, 1, -1, -2], [-2, -1, 1, 2])
    mean = x.mean(1).astype(float)
    attentive, _ = attentive_probabilities(x, label, 2, fold, seed=0)
    assert (attentive.argmax(1) == label[fold.scored]).mean() > 0.85
    linear = fit_linear(mean, label, 2, fold).probabilities(mean[fold.scored])
    assert (linear.argmax(1) == label[fold.scored]).mean() < 0.8


def test_classes_that_training_lacks_are_never_predicted():
    rng = np.random.default_rng(1)
    x, label, fold = clips(rng, classes=3)
    label[fold.training] %= 2
    for found in (
        fit_linear(x.mean(1).astype(float), label, 3, fold).probabilities(x.mean(1)[fold.scored]),
        knn_probabilities(x.mean(1), label, 3, fold)[0],
    ):
        assert found.shape == (20, 3)
        np.testing.assert_allclose(found.sum(1), 1)
        assert found[:, 2].max() < 1e-6
    scores = over_folds("linear", "frames", label, 3, [fold], lambda fold: (found, 1.0))
    assert scores.spread("accuracy") is None
    assert "±" not in scores.line


def test_wrong_labels_are_suspect():
    rng = np.random.default_rng(2)
    label = np.arange(120) % 3
    x = rng.normal(size=(120, 8)) + 4 * np.eye(8)[label]
    wrong = [5, 40, 77]
    given = label.copy()
    given[wrong] = (given[wrong] + 1) % 3
    probabilities = np.zeros((120, 3))
    rows = np.arange(120)
    for part in range(4):
        held = rows % 4 == part
        inner = [(rows[~held][::2], rows[~held][1::2])]
        fold = Fold("", rows[~held], rows[held], inner)
        probabilities[held] = fit_linear(x, given, 3, fold).probabilities(x[held])
    found = find_suspects(probabilities, given)
    assert sorted(one.row for one in found[:3]) == wrong
    assert [one.suggested for one in sorted(found[:3])] == label[wrong].tolist()
    assert len(found) < 8
    assert find_suspects(np.eye(3)[label], label) == []
