"""Epochs in which rare classes come more often: by exact counts, the same on any number of ranks and after a resume."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.dataset.clips import Clip
from pipelines.loader import build_loader
from pipelines.sampling.batch_order import TrainingOrder, classes_of, drawn_by_class
from tsam_dali.config.load import config_from_dict

SIZES = {0: 200, 1: 30, 2: 7, 3: 1}  # clips of each class
LABELS = np.random.default_rng(5).permutation(np.repeat(list(SIZES), list(SIZES.values()))).astype(np.int32)


def order(sampling="balanced", **options):
    classes = classes_of(((label,) for label in LABELS), sampling)
    return TrainingOrder(num_clips=len(LABELS), batch_size=12, seed=7, classes=classes, **options)


def positions(orders, steps):
    return [one.position(step, place) for step in steps for one in orders for place in range(one.rank_batch)]


def test_every_class_comes_as_often():
    """19 steps of 12: 57 clips of each of the 4 classes, those of a small class each as often to within one."""
    balanced = order()
    assert len(balanced) == 19
    for epoch in range(3):
        found = positions([balanced], range(19 * epoch, 19 * epoch + 19))
        assert Counter(LABELS[p.row] for p in found) == dict.fromkeys(range(4), 57)
        times = Counter(p.row for p in found)
        assert {times[row] for row in np.flatnonzero(LABELS == 3)} == {57}
        assert {times[row] for row in np.flatnonzero(LABELS == 2)} == {8, 9}
        assert {times[row] for row in np.flatnonzero(LABELS == 1)} == {1, 2}
        assert {times[row] for row in np.flatnonzero(LABELS == 0)} == {0, 1}
        assert {p.epoch for p in found} == {epoch}


def test_square_roots():
    """Square roots 14.14, 5.48, 2.65 and 1 of 23.27 in all; 228 clips."""
    found = Counter(LABELS[p.row] for p in positions([order("square_root")], range(19)))
    for label, exact in {0: 138.6, 1: 53.7, 2: 25.9, 3: 9.8}.items():
        assert exact - 1 < found[label] < exact + 1


def test_a_clip_that_comes_again_is_drawn_anew():
    found = positions([order()], range(19))
    assert len({(p.row, p.repeat) for p in found}) == len(found)
    for row in np.unique(LABELS):
        repeats = sorted(p.repeat for p in found if p.row == row)
        assert repeats == list(range(len(repeats)))


def test_samples_of_one_decode_stay_side_by_side():
    found = positions([order(repeats=3)], range(len(order(repeats=3))))
    for first in range(0, len(found), 3):
        rows, repeats = zip(*[(p.row, p.repeat) for p in found[first : first + 3]], strict=True)
        assert len(set(rows)) == 1
        assert repeats == tuple(range(repeats[0], repeats[0] + 3))
        assert repeats[0] % 3 == 0
    assert len({(p.row, p.repeat) for p in found}) == len(found)


@pytest.mark.parametrize("world", [2, 3, 4])
@pytest.mark.parametrize("sampling", ["balanced", "square_root"])
def test_batches_depend_on_the_step_alone(world, sampling):
    """Also where an order is made anew in the middle of an epoch, as after a resume."""
    whole = positions([order(sampling)], range(40))
    ranks = [order(sampling, rank=rank, world=world) for rank in range(world)]
    assert positions(ranks, range(25, 40)) == whole[25 * 12 :]


def test_epochs_differ_and_show_all_clips_in_time():
    balanced = order()
    epochs = [[p.row for p in positions([balanced], range(19 * epoch, 19 * epoch + 19))] for epoch in range(20)]
    assert epochs[0] != epochs[1]
    assert {row for rows in epochs for row in rows} == set(range(len(LABELS)))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(0, 12), min_size=1, max_size=80),
    st.sampled_from(["balanced", "square_root"]),
    st.integers(0, 300),
    st.integers(0, 5),
)
def test_any_labels(labels, sampling, clips, epoch):
    """Shares are exact to within one clip, also of classes without a clip, or more classes than clips are drawn."""
    drawn = drawn_by_class(classes_of(((label,) for label in labels), sampling), clips, 3, epoch)
    labels = np.array(labels)
    assert drawn.shape == (clips, 2)
    sizes, found = Counter(labels.tolist()), Counter(labels[drawn[:, 0]].tolist())
    weights = {label: 1 if sampling == "balanced" else size**0.5 for label, size in sizes.items()}
    for label, weight in weights.items():
        assert abs(found[label] - clips * weight / sum(weights.values())) < 1
    times = Counter(drawn[:, 0].tolist())
    for label in sizes:
        of_class = [times[row] for row in np.flatnonzero(labels == label).tolist()]
        assert max(of_class) - min(of_class) <= 1
    assert len(np.unique(drawn, axis=0)) == clips


def test_each_of_several_labels():
    """30 clips are drawn for each label; the one clip with both can be drawn for either."""
    labels = [[0]] * 50 + [[0, 1]] + [[1]] * 4
    drawn = drawn_by_class(classes_of(labels, "balanced"), 60, 3, 0)
    times = Counter(drawn[:, 0].tolist())
    assert {times[row] for row in range(51, 55)} == {6}
    assert times[50] in (6, 7)
    assert sum(times[row] for row in range(50)) == 60 - 24 - times[50]
    assert len(np.unique(drawn, axis=0)) == 60


def test_what_is_left_goes_to_another_class_in_each_epoch():
    """10 clips of 3 classes: one of them comes four times."""
    classes = classes_of(([label] for label in [0] * 20 + [1] * 5 + [2]), "balanced")
    labels = np.array([0] * 20 + [1] * 5 + [2])
    most = Counter(np.bincount(labels[drawn_by_class(classes, 10, 3, epoch)[:, 0]]).argmax() for epoch in range(90))
    assert set(most) == {0, 1, 2}
    assert min(most.values()) > 15


def test_a_loader_draws_by_class_those_without_a_label_as_a_class_of_their_own():
    """Of 8 clips with a label, 3 with another one, and one with none; 12 are drawn."""
    texts = ["0"] * 8 + ["1"] * 3 + ["-"]
    clips = [Clip(str(i), -1, f"{i}.mp4", 9, 9, 9, "", target=text) for i, text in enumerate(texts)]
    sections = {
        "dataset": {"data_dir": ".", "task": "labels", "class_names": ["a", "b"]},
        "training_param": {"batch_size": 4, "sampling": "balanced"},
    }
    with build_loader(config_from_dict(sections), "training", clips) as loader:
        found = positions([loader.source.order], range(len(loader)))
    assert Counter(texts[p.row] for p in found) == {"0": 4, "1": 4, "-": 4}
