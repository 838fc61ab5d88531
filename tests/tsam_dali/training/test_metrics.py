"""Metrics against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix

from pipelines.loader import Batch
from tsam_dali.training.metrics import Metrics


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.normal(size=(200, 5)))
    label = torch.from_numpy(rng.choice([0, 1, 2, 4], 200))  # class 3 does not occur
    ok = torch.from_numpy(rng.random(200) < 0.8)
    losses = torch.from_numpy(rng.random(200))
    losses[~ok] = float("nan")
    return losses, logits, label, ok


def test_metrics_agree_with_scikit_learn(batch):
    losses, logits, label, ok = batch
    metrics = Metrics(5, torch.device("cpu"))
    for part in zip(*(tensor.chunk(3) for tensor in batch), strict=True):
        losses_of_part, logits_of_part, label_of_part, ok_of_part = part
        metrics.add(losses_of_part, logits_of_part, Batch(ok_of_part, None, label_of_part, label_of_part, ok_of_part))
    result = metrics.reduced().result()
    truth, prediction = label[ok].numpy(), logits.argmax(1)[ok].numpy()
    assert result["samples"] == int(ok.sum())
    assert result["loss"] == pytest.approx(losses[ok].mean().item())
    assert result["accuracy"] == pytest.approx(accuracy_score(truth, prediction))
    with pytest.warns(UserWarning, match="y_pred contains classes not in y_true"):
        assert result["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(truth, prediction))
    assert np.array_equal(metrics.confusion.numpy(), confusion_matrix(truth, prediction, labels=range(5)))


def test_nothing_gives_zeros():
    result = Metrics(3, torch.device("cpu")).result()
    assert result == {"loss": 0.0, "accuracy": 0.0, "balanced_accuracy": 0.0, "samples": 0}
