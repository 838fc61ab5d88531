"""dataset.flip_labels: which classes change places in a mirrored clip, what is refused, and when it is asked for."""

import argparse

import pytest

from pipelines.dataset.flip_labels import flipped_labels, seen_labels, warn_of_sides
from pipelines.dataset.load import DataError, load_data
from pipelines.files.errors import ListError
from tests.helpers.media import write_video
from tests.helpers.processes import ROOT
from tsam_dali.cli.common import EXAMPLE_CONFIG
from tsam_dali.config.load import ConfigError, config_from_dict, load_config
from tsam_dali.train import prepare_data

NAMES = ("swipe left", "swipe right", "wave", "push, left to right", "push, right to left")


def dataset(pairs, names=NAMES):
    return config_from_dict({"dataset": {"data_dir": ".", "class_names": names, "flip_labels": pairs}}).dataset


def test_names_and_numbers():
    pairs = [["swipe left", "swipe right"], [4, "push, left to right"]]
    assert flipped_labels(dataset(pairs), 5) == {0: 1, 1: 0, 3: 4, 4: 3}
    assert flipped_labels(dataset([[1, 0]], names=()), 2) == {0: 1, 1: 0}
    assert flipped_labels(dataset([])) == {}


@pytest.mark.parametrize(
    ("pairs", "names", "problem"),
    [
        ([["swipe left", "swipe"]], NAMES, '["swipe left", "swipe"]: there is no class \'swipe\'; expected a name of'),
        ([["a", 1]], ("a", "a", "b", "c", "d"), "[\"a\", 1]: there is no class 'a'"),  # two have this name
        ([["0", "1"]], (), "there is no class '0'; expected a number, as there are no class_names"),
        ([[0, 5]], NAMES, "there is no class 5; expected a name of dataset.class_names, or a number below 5"),
        ([[-1, 0]], NAMES, "there is no class -1"),
        ([[0, 1], ["swipe right", 2]], NAMES, "[\"swipe right\", 2]: 'swipe right' is in another pair, too"),
        ([[0, 1], [1, 0]], NAMES, "[1, 0]: 1 is in another pair, too"),
        ([["wave", 2]], NAMES, "a class cannot change places with itself"),
    ],
)
def test_pairs_that_are_none(pairs, names, problem):
    with pytest.raises(ListError) as error:
        flipped_labels(dataset(pairs, names), 5)
    (said,) = error.value.problems
    assert said.startswith("dataset.flip_labels: [")
    assert problem in said


@pytest.mark.parametrize("pairs", [[["wave"]], [[0, 1, 2]], [[0.5, 1]], [[True, 1]], {"0": 1}, "wave", [0, 1]])
def test_other_forms_are_refused(pairs):
    with pytest.raises(ConfigError, match=r"dataset\.flip_labels"):
        dataset(pairs)


def test_a_start_names_them_with_all_other_problems(tmp_path):
    (tmp_path / "videos").mkdir()
    write_video(tmp_path / "videos/a.mp4", 4, (48, 64))
    (tmp_path / "training.txt").write_text("a 0\n")
    (tmp_path / "validation.txt").write_text("a 7\n")
    settings = {"data_dir": str(tmp_path), "flip_labels": [[0, 1], ["x", 0]]}
    with pytest.raises(DataError) as error:
        load_data(config_from_dict({"dataset": settings}), ("training", "validation"))
    listed, number, name = error.value.problems
    assert "labels [7]" in listed
    assert "no class 1; expected a number" in number
    assert "no class 'x'" in name


def test_what_is_seen_of_a_class_with_a_counterpart():
    assert sorted(seen_labels([0, 0, 0, 1, 2], {0: 1, 1: 0})) == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ("names", "such_as"),
    [
        (NAMES, '[["push, left to right", "push, right to left"], ["swipe left", "swipe right"]]'),
        (("Turn_Left", "Turn_Right", "stop"), '[["Turn_Left", "Turn_Right"]]'),
        (("SwipeLeft", "SwipeRight"), '[["SwipeLeft", "SwipeRight"]]'),
        (("left-handed", "standing"), None),
        (("moving rightwards", "standing"), None),
        (("RIGHT", "LEFT"), '[["LEFT", "RIGHT"]]'),
    ],
)
def test_class_names_with_left_or_right_ask_for_it(caplog, names, such_as):
    warn_of_sides(dataset([], names))
    (said,) = caplog.messages
    assert "left or right, for example " in said
    assert "RandomHorizontalFlip" in said
    assert f"in dataset.flip_labels, such as {such_as}, or" in said if such_as else "flip_labels, or" in said
    caplog.clear()
    warn_of_sides(dataset([[0, 1]], names))
    assert not caplog.messages


def test_other_names_do_not_ask(caplog):
    warn_of_sides(dataset([], ("bright light", "eating leftovers", "copyright", "outright", "cleft")))
    warn_of_sides(dataset([], ()))
    assert not caplog.messages


def test_a_training_that_mirrors_asks_for_it(example, caplog):
    for flip, flip_labels, asks in ((True, "[]", True), (True, "[[0, 2], [1, 3]]", False), (False, "[]", False)):
        name = "data_augmentation.video_augmentation.RandomHorizontalFlip"
        config = load_config(
            example / "data.json",
            ROOT / EXAMPLE_CONFIG,
            [f"{name}={str(flip).lower()}", f"dataset.flip_labels={flip_labels}", "model.audio_segments=0"],
        )
        caplog.clear()
        prepare_data(argparse.Namespace(), config)
        asked = [said for said in caplog.messages if "left or right" in said]
        assert len(asked) == asks
        assert not asks or '[["left high", "right high"], ["left low", "right low"]]' in asked[0]
