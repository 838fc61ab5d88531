"""Scores of labels and numbers, and the gradient of 1 - CCC, are on several ranks those of one."""

import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from tests.helpers.processes import TORCHRUN, run
from tests.ranks.task_sums import BAD, CLIPS, found, label_scores, labelled
from tsam_dali.distributed import Job

WORLD = 3


def test_scores_and_gradients_are_those_of_one_rank(tmp_path):
    done = run(*TORCHRUN, WORLD, "-m", "tests.ranks.task_sums", tmp_path)
    assert done.returncode == 0, done.stderr
    alone = Job(0, 1, 1, torch.device("cpu"))
    scores, gradient = found(alone)
    ranks = [torch.load(tmp_path / str(rank), weights_only=True) for rank in range(WORLD)]
    assert [of_rank for of_rank, _, _ in ranks] == [scores] * WORLD
    assert scores["samples"] == CLIPS - len(BAD)
    torch.testing.assert_close(torch.cat([part for _, part, _ in ranks]), gradient)

    of_labels = [labels for _, _, labels in ranks]
    expected = label_scores(alone)
    for labels in of_labels:
        assert labels | {"loss": 0, "training": 0} == expected | {"loss": 0, "training": 0}
        assert labels["loss"] == pytest.approx(expected["loss"], rel=1e-12)
        assert labels["training"] == pytest.approx(expected["training"], rel=1e-12)
        assert labels["training"]["samples"] == CLIPS - len(BAD)
    read = [row for row in range(CLIPS) if row not in BAD]
    logits, target = (tensor[read].double() for tensor in labelled())
    for name, score in (("mAP", average_precision_score), ("auroc", roc_auc_score)):
        assert of_labels[0][name] == pytest.approx(score(target, logits.sigmoid()), abs=1e-12)
