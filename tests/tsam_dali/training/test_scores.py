"""Scores of labels at given thresholds, and of labels that all clips have."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from tsam_dali.training.scores import THRESHOLD, best_thresholds, label_scores, label_table

TARGET = np.array([[1, 0, 1], [1, 1, 0], [1, 0, 1], [1, 1, 0]])
PROBABILITY = np.array([[0.9, 0.5, 0.2], [0.3, 0.5, 0.1], [0.6, 0.4, 0.4], [0.5, 0.8, 0.3]])
FOUND = np.array([[1, 1, 0], [0, 1, 0], [1, 0, 0], [1, 1, 0]])
"""From 0.5 on, which itself counts."""


def test_thresholds_that_are_given_count():
    given = [THRESHOLD] * 3
    assert best_thresholds(TARGET, PROBABILITY) != given
    scores = label_scores(TARGET, PROBABILITY, given)
    assert scores["thresholds"] == given
    assert scores["f1"] == pytest.approx(f1_score(TARGET, FOUND, average="macro", zero_division=0))
    assert scores["f1_micro"] == pytest.approx(f1_score(TARGET, FOUND, average="micro"))
    table = label_table(TARGET, PROBABILITY, given, "abc")
    assert [row["f1"] for row in table] == pytest.approx(
        f1_score(TARGET, FOUND, average=None, zero_division=0).tolist()
    )
    assert [row["accuracy"] for row in table] == (TARGET == FOUND).mean(0).tolist()
    assert label_scores(TARGET, PROBABILITY)["f1"] > scores["f1"]


def test_a_label_that_all_clips_have_has_no_auroc():
    scores = label_scores(TARGET, PROBABILITY)
    expected = [roc_auc_score(TARGET[:, k], PROBABILITY[:, k]) for k in (1, 2)]
    assert scores["auroc"] == pytest.approx(np.mean(expected), abs=1e-12)
    table = label_table(TARGET, PROBABILITY, scores["thresholds"], "abc")
    assert [row["auroc"] for row in table] == [None, *expected]
    assert scores["average_precisions"][0] == 1
    alone = label_scores(TARGET[:, :1], PROBABILITY[:, :1])
    assert (alone["auroc"], alone["auroc_micro"], alone["mAP"]) == (None, None, 1)
