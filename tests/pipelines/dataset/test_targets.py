"""Lists of labels and of numbers: what is read, and what is refused with file and line."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pipelines.dataset.list_file import read_entries
from pipelines.dataset.targets import Classes, Labels, Number, Numbers, target_table
from pipelines.files.errors import ListError
from tests.pipelines.dataset.test_list_file import list_file
from tsam_dali.config.load import ConfigError, config_from_dict

LABELS = Labels(("dog", "siren", "rain", "talk"))
NUMBERS = Numbers((Number(name="valence", range=(-1, 1)), Number(name="speed", range=(0, 90), unit="pixels/s")))
SPACES = "expected labels as whole numbers from 0 with commas and no spaces between them, or - for none, got"

REFUSED = {
    "several labels in a list of classes": (
        Classes(),
        b"a 0\nb 0,1\n",
        "2: the label must be a whole number from 0, got '0,1'; lists with several labels need dataset.task labels",
    ),
    "none in a list of classes": (
        Classes(),
        b"a -\n",
        "1: the label must be a whole number from 0, got '-'; lists with",
    ),
    "numbers in a list of classes": (
        Classes(),
        b"a 0.7,-0.2\n",
        "1: the label must be a whole number from 0, got '0.7,-0.2'; lists with numbers need dataset.task numbers",
    ),
    "beyond the names": (LABELS, b"a 3\nb 0,4\n", "2: label 4 is beyond the 4 names of dataset.class_names (0 to 3)"),
    "twice": (LABELS, b"a 2,0,2\n", "1: label 2 occurs twice in '2,0,2'"),
    "a fraction as a label": (LABELS, b"a 1\nb 0.73\n", f"2: {SPACES} '0.73'"),
    "a name as a label": (LABELS, b"a dog\n", f"1: {SPACES} 'dog'"),
    "an empty label": (LABELS, b"a 1,\n", f"1: {SPACES} '1,'"),
    "other digits": (LABELS, "a ٣\n".encode(), f"1: {SPACES} '٣'"),
    "a space between labels": (LABELS, b"a 1, 2\n", "1: no spaces may stand between labels, got 'a 1, 2'"),
    "other labels": (LABELS, b"a 1,2\na 2,1\na 2\n", "3: 'a' has 2, but line 1 gives it 1,2"),
    "of a piece": (LABELS, b"a 0 5 1,2\nb 0 5 9\n", "2: label 9 is beyond the 4 names"),
    "no number": (NUMBERS, b"a 0.5,fast\n", "1: speed must be a number, got 'fast'"),
    "not a number": (NUMBERS, b"a nan,3\n", "1: valence must be a number, got 'nan'"),
    "infinite": (NUMBERS, b"a 0,inf\n", "1: speed must be a number, got 'inf'"),
    "too large for a float": (NUMBERS, b"a 0,1e999\n", "1: speed must be a number, got '1e999'"),
    "an underscore": (NUMBERS, b"a 0,1_0\n", "1: speed must be a number, got '1_0'"),
    "digits of another script": (NUMBERS, "a 0,٣\n".encode(), "1: speed must be a number, got '٣'"),
    "none of the numbers": (NUMBERS, b"a -\n", "1: expected 2 numbers (valence, speed)"),
    "a comma for decimals": (
        NUMBERS,
        b"a 0,5,3\n",
        "1: expected 2 numbers (valence, speed) with commas and no spaces "
        "between them and points for decimals, got '0,5,3'",
    ),
    "a class in a list of numbers": (NUMBERS, b"a 0.5,3\nb 1\n", "2: expected 2 numbers (valence, speed)"),
    "above its range": (NUMBERS, b"a 0,90.5\n", "1: speed is 90.5, outside of its range in dataset.numbers, 0 to 90"),
    "below its range": (NUMBERS, b"a -1.01,3\n", "1: valence is -1.01, outside of its range"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused(kind):
    targets, content, problem = REFUSED[kind]
    with list_file(content) as name, pytest.raises(ListError) as caught:
        read_entries(name, targets)
    assert caught.value.problems[0].startswith(f"{name}:{problem}")


def test_labels_are_read():
    with list_file(b"a 3,0\nsub/b c -\nd 1\na 0,3\n") as name:
        entries = read_entries(name, LABELS)
    assert [entry[:2] + entry[5:] for entry in entries] == [("a", -1, "0,3"), ("sub/b c", -1, "-"), ("d", -1, "1")]
    assert entries[1] == entries[1:2][0] == list(entries)[1]
    assert target_table(LABELS, entries).tolist() == [[1, 0, 0, 1], [0, 0, 0, 0], [0, 1, 0, 0]]


def test_numbers_are_read_to_the_last_bit():
    with list_file(b"a 0.73,2e1\nb -.1,3.\nc +1,0\na 0.730,20\n") as name:
        entries = read_entries(name, NUMBERS)
    assert target_table(NUMBERS, entries).tolist() == [[0.73, 20], [-0.1, 3], [1, 0]]


def test_numbers_of_pieces_are_read():
    with list_file(b"id start end numbers\na 0 2.5 0.5,3\na 2.5 5 -0.5,4\n") as name:
        entries = read_entries(name, NUMBERS)
    assert [(entry.file, entry.start, entry.end, entry.target) for entry in entries] == [
        ("a", 0, 2.5, "0.5,3.0"),
        ("a", 2.5, 5, "-0.5,4.0"),
    ]


VALUES = st.tuples(st.floats(-1, 1), st.floats(0, 90))
FILES = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=8, unique=True)


@hypothesis_settings(deadline=None)
@given(FILES, st.data(), st.booleans())
def test_targets_are_read_as_they_were_written(files, data, timed):
    for targets, values in ((LABELS, st.sets(st.integers(0, 3))), (NUMBERS, VALUES)):
        written = [data.draw(values) for _ in files]
        texts = [",".join(map(str, one)) or "-" for one in written]
        times = " 1 2.5 " if timed else " "
        with list_file(
            "\n".join(f"{file}{times}{text}" for file, text in zip(files, texts, strict=True)).encode()
        ) as name:
            entries = read_entries(name, targets)
        expected = [[label in one for label in range(4)] if targets is LABELS else list(one) for one in written]
        assert entries.files == files
        assert target_table(targets, entries).tolist() == expected


@hypothesis_settings(deadline=None)
@given(st.one_of(st.text("0123456789,.-+eE_ \u0661naif", max_size=12), st.text(max_size=6)))
def test_any_target_is_refused_or_has_one_form(text):
    for targets in (Classes(), LABELS, NUMBERS):
        if targets.problem(text) is not None:
            continue
        form = targets.same_form(text)
        vector = targets.vector(form or text)
        assert len(vector) == targets.size
        if targets.size:
            assert targets.problem(form) is None
            assert targets.same_form(form) == form
        if targets is NUMBERS:
            assert all(low <= value <= high for value, (low, high) in zip(vector, ((-1, 1), (0, 90)), strict=True))


def test_what_cannot_be_learnt_is_named():
    (never, always) = LABELS.weak_points(["0,1", "1", "1,2"])
    assert never == "1 label of the training list without a clip (talk)"
    assert always == "1 label of the training list that all clips have (siren)"
    assert NUMBERS.weak_points(["0.5,3.0", "0.5,4.0"]) == [
        "1 number of the training list with one value for all clips (valence)"
    ]
    assert Classes().weak_points([]) == []
    assert np.array_equal(target_table(LABELS, []), np.empty((0, 4)))


WRONG = {
    "no names of labels": ({"task": "labels"}, {}, "dataset.class_names: empty; the task labels needs"),
    "no numbers": ({"task": "numbers"}, {}, "dataset.numbers: empty; the task numbers needs name and range"),
    "numbers of classes": (
        {"numbers": [{"name": "a", "range": [0, 1]}]},
        {},
        "dataset.numbers: given, but dataset.task",
    ),
    "a name twice": (
        {"task": "labels", "class_names": ["a", "a"]},
        {},
        "dataset.class_names: the name 'a' occurs twice",
    ),
    "a range": ({"task": "numbers", "numbers": [{"name": "a", "range": [1, 1]}]}, {}, "the range of a is [1, 1]"),
    "an unknown key": ({"task": "numbers", "numbers": [{"name": "a", "rang": [0, 1]}]}, {}, "dataset.numbers.0.rang"),
    "a loss of another task": ({}, {"loss": "bce"}, "training_param.loss: bce is not for the task classes"),
    "an unknown score": ({}, {"best_scores": ["mAP"]}, "training_param.best_scores: 'mAP' is no score of the task"),
    "weights": (
        {"task": "numbers", "numbers": [{"name": "a", "range": [0, 1]}]},
        {"class_weights": "balanced"},
        "training_param.class_weights: balanced has no meaning",
    ),
    "smoothing": (
        {"task": "numbers", "numbers": [{"name": "a", "range": [0, 1]}]},
        {"label_smoothing": 0.1},
        "training_param.label_smoothing: has no meaning",
    ),
    "balanced numbers": (
        {"task": "numbers", "numbers": [{"name": "a", "range": [0, 1]}]},
        {"sampling": "balanced"},
        "training_param.sampling: balanced has no meaning",
    ),
    "mirrored numbers": (
        {"task": "numbers", "numbers": [{"name": "a", "range": [0, 1]}], "flip_labels": [[0, 1]]},
        {},
        "dataset.flip_labels: has no meaning",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_settings_that_do_not_suit_the_task_are_named(kind):
    dataset, training, problem = WRONG[kind]
    with pytest.raises(ConfigError) as caught:
        config_from_dict({"dataset": {"data_dir": ".", **dataset}, "training_param": training})
    assert any(problem in line for line in caught.value.problems), caught.value.problems
