"""Folds of any clips: each clip validated on once, groups whole, every class in every training list, or a refusal."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.annotations.rows import Row
from pipelines.annotations.split import Folds, ListedClip, draw_folds
from pipelines.files.errors import ListError

LABELS = st.sets(st.integers(0, 3), min_size=1, max_size=2).map(sorted).map(tuple)
CLIPS = st.lists(st.tuples(st.integers(0, 5), LABELS), min_size=1, max_size=40)  # group and labels of each


def labels_of(clips):
    return {label for clip in clips for label in clip.labels}


@settings(max_examples=200, deadline=None)
@given(CLIPS, st.integers(2, 6), st.integers(0, 3))
def test_any_groups_and_labels(clips, number, seed):
    listed = [
        ListedClip(f"g{group}_{i}", labels, Row(f"list:{i + 1}", "", "")) for i, (group, labels) in enumerate(clips)
    ]
    warnings: list[str] = []
    try:
        folds = draw_folds(listed, "abcd", Folds(number, "g[0-9]"), seed, warnings)
    except ListError as error:
        assert all(problem.startswith(("--folds", "fold ")) for problem in error.problems)
        return
    validated = Counter(clip.id for fold in folds for clip in fold["validation"])
    assert len(folds) == number
    assert validated == Counter(clip.id for clip in listed)
    for place, fold in enumerate(folds, 1):
        assert sorted(fold["training"] + fold["validation"]) == sorted(listed)
        assert not {clip.id[:2] for clip in fold["training"]} & {clip.id[:2] for clip in fold["validation"]}
        assert labels_of(fold["training"]) == labels_of(listed)
        lacking = labels_of(listed) - labels_of(fold["validation"])
        told = [said for said in warnings if said.startswith(f"fold {place} validates without {len(lacking)} class")]
        assert len(told) == (len(lacking) > 0)


@pytest.mark.parametrize(
    ("group", "clip", "found"),
    [
        ("speaker[0-9]+", "a/speaker12_take3", "speaker12"),
        ("speaker([0-9]+)_(take)", "speaker12_take3", "12"),
        ("^[^/]+", "session 1/clip", "session 1"),
        ("(a)|b", "b", ""),  # brackets that find nothing
        ("c", "b", ""),
        ("", "a/b", "a/b"),
    ],
)
def test_what_a_group_is(group, clip, found):
    assert Folds(2, group).group_of(ListedClip(clip, (0,), Row("", "", ""))) == found


def test_classes_are_spread_evenly():
    """Of 10 groups with two clips of one class each, and 20 with one of another."""
    clips = [(f"a{i // 2}", f"a{i // 2}_{i}", 0) for i in range(20)] + [(f"b{i}", f"b{i}_0", 1) for i in range(20)]
    listed = [ListedClip(clip, (label,), Row("", "", "")) for _, clip, label in clips]
    for seed in range(3):
        for fold in draw_folds(listed, "ab", Folds(5, "^[^_]+"), seed, []):
            assert Counter(clip.labels[0] for clip in fold["validation"]) == {0: 4, 1: 4}


def test_the_pieces_of_a_file_share_a_group():
    listed = [
        ListedClip(f"video {i % 6} {start} {start + 5}", (i % 2,), Row("", "", "", start=start, end=start + 5))
        for i, start in enumerate(range(0, 120, 5))
    ]
    for fold in draw_folds(listed, "ab", Folds(3), 0, []):
        files = [{clip.id.rsplit(" ", 2)[0] for clip in fold[split]} for split in ("training", "validation")]
        assert [len(some) for some in files] == [4, 2]
        assert not files[0] & files[1]
