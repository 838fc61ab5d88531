"""Figures of an evaluation against scikit-learn and plain loops; sums over the views of a video."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, top_k_accuracy_score

from pipelines.loader import Batch
from tsam_dali.evaluate.scores import calibration_error, class_table, score
from tsam_dali.evaluate.view_average import VideoScores


def draws(classes=8, count=300):
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(classes) * 0.5, count)
    return probabilities, rng.choice(classes - 1, count)  # the last class does not occur


def test_scores():
    probabilities, label = draws()
    found, prediction = score(probabilities, label, 310), probabilities.argmax(1)
    recalls = [(prediction[label == c] == c).mean() for c in range(7)]
    assert found["accuracy"] == pytest.approx(accuracy_score(label, prediction))
    assert found["top5"] == pytest.approx(top_k_accuracy_score(label, probabilities, k=5, labels=range(8)))
    assert found["balanced_accuracy"] == pytest.approx(np.mean(recalls))
    assert found["mean_class_accuracy"] == pytest.approx(np.mean([*recalls, 0]))
    assert (found["scored"], found["expected"]) == (300, 310)


def test_there_is_no_top_5_of_five_classes():
    for classes, expected in ((5, False), (6, True)):
        assert ("top5" in score(*draws(classes), 300)) == expected


def test_calibration_error():
    probabilities, label = draws()
    confidence, right = probabilities.max(1), probabilities.argmax(1) == label
    error = 0.0
    for i in range(15):
        inside = (confidence >= i / 15) & (confidence < (i + 1) / 15)
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert calibration_error(probabilities, label) == pytest.approx(error)
    assert calibration_error(np.array([[1.0, 0.0]]), np.array([1])) == 1


def test_class_table():
    table = class_table(np.eye(3)[[0, 0, 1]], np.array([0, 1, 1]), [0, 1, 1, 2], ["a", "b", "c"])
    assert [(row["name"], row["expected"], row["scored"]) for row in table] == [("a", 1, 1), ("b", 2, 2), ("c", 1, 0)]
    assert [row["recall"] for row in table] == [1, 0.5, 0]
    assert [row["precision"] for row in table] == [0.5, 1, 0]


@pytest.mark.parametrize("average", ["logits", "probabilities"])
def test_views_of_a_video_are_averaged(average):
    scores = VideoScores(3, 2, average, torch.device("cpu"))
    row, ok = torch.tensor([0, 1, -1]), torch.tensor([True, True, False])
    first, second = torch.tensor([[4.0, 0], [0.4, 0.6], [float("nan"), 0]]), torch.tensor([[0, 2.0], [1, 0], [9, 0]])
    scores.add(first, Batch(torch.empty(0), None, row, row, ok))
    scores.add(second, Batch(torch.empty(0), None, row, row, torch.tensor([True, False, False])))
    found = scores.result()
    mean = (first[0] + second[0]) / 2 if average == "logits" else (first[0].softmax(0) + second[0].softmax(0)) / 2
    expected = mean.softmax(0) if average == "logits" else mean
    np.testing.assert_allclose(found.probabilities[0], expected, rtol=1e-6)
    np.testing.assert_allclose(found.probabilities[1], first[1].softmax(0), rtol=1e-6)
    assert found.views.tolist() == [2, 1, 0]
    assert found.probabilities[2].tolist() == [0, 0]
