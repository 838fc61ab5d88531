"""Scores of numbers, and the gradient of 1 - CCC, are on several ranks those of one."""

import torch

from tests.helpers.processes import TORCHRUN, run
from tests.ranks.task_sums import BAD, CLIPS, found
from tsam_dali.distributed import Job

WORLD = 3


def test_scores_and_gradients_are_those_of_one_rank(tmp_path):
    done = run(*TORCHRUN, WORLD, "-m", "tests.ranks.task_sums", tmp_path)
    assert done.returncode == 0, done.stderr
    scores, gradient = found(Job(0, 1, 1, torch.device("cpu")))
    ranks = [torch.load(tmp_path / str(rank), weights_only=True) for rank in range(WORLD)]
    assert [of_rank for of_rank, _ in ranks] == [scores] * WORLD
    assert scores["samples"] == CLIPS - len(BAD)
    torch.testing.assert_close(torch.cat([part for _, part in ranks]), gradient)
