"""Training steps on three ranks: they continue to the last bit, and parts add up to the whole."""

import pytest
import torch

from tests.processes import TORCHRUN, run

WORLD = 3


@pytest.fixture(scope="module")
def states(tmp_path_factory):
    """What each rank found, in the order of the ranks."""
    out = tmp_path_factory.mktemp("ranks")
    done = run(*TORCHRUN, WORLD, "-m", "tests.rank_learner", out)
    assert done.returncode == 0, done.stderr
    return [torch.load(out / str(rank), weights_only=True) for rank in range(WORLD)]


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
