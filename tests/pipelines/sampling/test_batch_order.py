"""Which clip stands where: the same global batches on any number of ranks, each validation clip once."""

import pytest

from pipelines.sampling.batch_order import EvaluationOrder, TrainingOrder
from pipelines.sampling.plan import epoch_order


def global_batch(step, world, **order):
    ranks = [TrainingOrder(**order, rank=rank, world=world) for rank in range(world)]
    return [rank.position(step, place) for rank in ranks for place in range(rank.rank_batch)]


@pytest.mark.parametrize("world", [2, 3, 4, 6])
def test_global_batches_do_not_depend_on_the_number_of_ranks(world):
    order = {"num_clips": 53, "batch_size": 12, "seed": 7}
    for step in range(9):
        assert global_batch(step, world, **order) == global_batch(step, 1, **order)


def test_an_epoch_follows_the_permutation_and_repeats_nothing():
    order = TrainingOrder(num_clips=53, batch_size=12, seed=7)
    assert len(order) == 4
    for epoch in range(3):
        positions = [order.position(epoch * 4 + step, place) for step in range(4) for place in range(12)]
        assert [p.row for p in positions] == epoch_order(53, 7, epoch)[:48].tolist()
        assert {p.epoch for p in positions} == {epoch}


def test_a_batch_larger_than_the_list_is_refused():
    with pytest.raises(ValueError, match="batch_size is 5, but the training list has only 4"):
        TrainingOrder(num_clips=4, batch_size=5, seed=0)


@pytest.mark.parametrize(
    ("num_clips", "world", "rank_batch"), [(7, 2, 2), (1, 3, 4), (12, 2, 3), (13, 1, 5), (97, 3, 8)]
)
def test_evaluation_takes_each_clip_once(num_clips, world, rank_batch):
    ranks = [
        EvaluationOrder(num_clips=num_clips, rank_batch=rank_batch, rank=rank, world=world, views=3)
        for rank in range(world)
    ]
    assert len({len(rank) for rank in ranks}) == 1
    for view in range(3):
        steps = range(view * len(ranks[0]), (view + 1) * len(ranks[0]))
        positions = [rank.position(step, place) for step in steps for rank in ranks for place in range(rank_batch)]
        rows = [p.row for p in positions]
        assert sorted(row for row in rows if row >= 0) == list(range(num_clips))
        assert {p.view for p in positions if p.row >= 0} == {view}
        assert rows.count(-1) < rank_batch * world
