"""Steps of training on three ranks: continued to the last bit, in parts, stopped, and errors that one rank meets."""

import pytest
import torch

from tests.helpers.processes import TORCHRUN, run
from tests.ranks.train_steps import OWN_ERROR

WORLD = 3


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """What each rank found, in the order of the ranks, and what they printed."""
    out = tmp_path_factory.mktemp("ranks")
    done = run(*TORCHRUN, WORLD, "-m", "tests.ranks.train_steps", out)
    assert len(list(out.glob("[0-2]"))) == WORLD, done.stderr
    return [torch.load(out / str(rank), weights_only=True) for rank in range(WORLD)], done.stderr


@pytest.fixture
def states(job):
    return job[0]


def assert_equal(state, expected):
    for name, tensor in expected["model"].items():
        assert torch.equal(state["model"][name], tensor), name


@pytest.mark.parametrize("case", ["whole", "in_parts"])
def test_a_run_on_three_ranks_goes_on_to_the_last_bit(states, case):
    name = {"whole": "continued", "in_parts": "in_parts_continued"}[case]
    for rank in states:
        assert_equal(rank[name], rank[case])
        assert_equal(rank[case], states[0][case])


def test_parts_on_three_ranks_step_like_one_batch(states):
    whole, in_parts = states[0]["whole"]["model"], states[0]["in_parts"]["model"]
    for name, tensor in whole.items():
        torch.testing.assert_close(in_parts[name], tensor)


def test_a_loss_that_is_not_finite_on_one_rank_stops_all_at_the_same_step(states):
    (step, said, rows), *others = (rank["stopped"] for rank in states)
    assert step == 3  # the step after the spoiled one is done when it is found
    assert said == "the loss of step 1 is not finite"
    assert rows == [5]
    assert others == [(step, said, rows)] * 2


def test_ranks_that_find_different_checkpoints_end_alike(states):
    same, weights, none = states[0]["not_shared"]
    assert [rank["not_shared"] for rank in states] == [[same, weights, none]] * WORLD
    assert same == "step 5"
    assert "the ranks find different checkpoints (rank 0: step 5, SHA-256" in weights
    assert "; rank 2: step 5, SHA-256" in weights
    assert "; rank 2: none); results_folder must be the same folder on all machines" in none


def test_an_error_of_one_rank_is_printed_by_it(job):
    assert f"rank 1: error: {OWN_ERROR}" in job[1].splitlines()
