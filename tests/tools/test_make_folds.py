"""tools/make_lists.py --folds: every clip validated on once, no group in two folds, and what cannot be split."""

import json
import os
import random
from collections import Counter

import pytest

from pipelines.dataset.list_file import read_list
from pipelines.dataset.load import load_clips
from tests.helpers.media import write_video
from tests.pipelines.annotations.list_making import make_lists, put, refused, write
from tsam_dali.config.load import load_config

SPEAKERS = [f"speaker{number:02d}" for number in range(1, 11)]


def folds(*arguments, number=5):
    """Run it; of each fold the clips of its two lists, {id: label}."""
    done = make_lists(*arguments, "--folds", number)
    assert done.returncode == 0, done.stderr
    assert sorted(name for name in os.listdir("out") if name.startswith("fold")) == [
        f"fold_{i}" for i in range(1, number + 1)
    ]
    found = []
    for i in range(1, number + 1):
        dataset = load_config(f"out/fold_{i}/data.json", f"out/fold_{i}/data.json").dataset
        assert dataset.data_dir == "out"
        lists = (read_list(dataset.list_file(split)) for split in ("training", "validation"))
        found.append(tuple({entry.id: entry.label for entry in entries} for entries in lists))
    return found, done


@pytest.fixture
def speakers(own_folder):
    """Ten speakers, each with two takes of three sentences, but for the last one, who says one of them five times."""
    lines = [f"{speaker}_take{i} {i % 3}\n" for speaker in SPEAKERS[:-1] for i in range(6)]
    lines += [f"{SPEAKERS[-1]}_take{i} 2\n" for i in range(5)]
    put(*(f"out/videos/{line.split()[0]}.mp4" for line in lines))
    write("train.txt", "".join(lines[:40]))
    write("val.txt", "".join(lines[40:]))
    return lines


def test_no_speaker_is_in_two_folds(speakers):
    found, done = folds("train.txt", "val.txt", "--group", "speaker[0-9]+")
    everything = {line.split()[0]: int(line.split()[1]) for line in speakers}
    validated = Counter()
    for training, validation in found:
        assert training | validation == everything
        assert not {clip[:9] for clip in training} & {clip[:9] for clip in validation}
        assert set(validation.values()) == set(training.values()) == {0, 1, 2}
        assert 10 <= len(validation) <= 12
        validated.update(validation)
    assert validated == Counter(everything)
    assert "--group finds 10 groups, such as 'speaker01'; in the folds: 2, 2, 2, 2, 2" in done.stderr
    assert "out/fold_5/data.json: 3 classes\ntraining: 4" in done.stdout


def test_the_draw_depends_on_seed_and_ids_alone(speakers):
    group = ("--group", "^(.*)_take")
    first, _ = folds("train.txt", "val.txt", *group)
    write("train.txt", "".join(random.Random(1).sample(speakers, len(speakers))))
    assert folds("train.txt", *group, "--force")[0] == first
    assert folds("train.txt", "--group", "speaker([0-9]+)_", "--force")[0] == first  # other names of the same groups
    assert folds("train.txt", *group, "--force", "--seed", "1")[0] != first


def test_without_a_group_each_clip_is_its_own(speakers):
    found, done = folds("train.txt", "val.txt", number=3)
    assert [len(validation) for _, validation in found] == [20, 20, 19]
    assert "--group" not in done.stderr


def test_a_fold_that_lacks_a_class(speakers):
    """Of a class in one fold alone nothing could be learned there; in validation it may be missing, which is told."""
    write("rare.txt", "".join(speakers) + "speaker01_rare 3\nspeaker01_more 3\n")
    put("out/videos/speaker01_rare.mp4", "out/videos/speaker01_more.mp4", "out/videos/speaker02_rare.mp4")
    before = set(os.listdir("out"))
    (problem,) = refused("rare.txt", "--folds", "5", "--group", "speaker[0-9]+")
    assert "would train without a clip of class '3': all lie in 1 group that it validates on, speaker01" in problem
    assert set(os.listdir("out")) == before
    write("rare.txt", "".join(speakers) + "speaker01_rare 3\nspeaker02_rare 3\n")
    found, done = folds("rare.txt", "--group", "speaker[0-9]+", "--seed", "2")
    lacking = [i for i, (_, validation) in enumerate(found, 1) if 3 not in validation.values()]
    assert len(lacking) == 3
    for number in lacking:
        assert f"fold {number} validates without 1 class: 3" in done.stderr


def test_clips_without_a_file_and_classes_without_a_clip(speakers):
    write("train.txt", "".join(speakers).replace(" 2\n", " 3\n") + "gone 2\n")
    found, done = folds("train.txt", "--group", "speaker[0-9]+|gone")
    assert set(found[0][0].values()) == {0, 1, 2}
    assert "without a training clip and left out: 1 of 4 classes, for example '2'" in done.stderr
    assert "missing: 1 clip without a file, left out; see out/missing.txt" in done.stdout


def test_what_cannot_be_split(speakers):
    lists = ("train.txt", "val.txt")
    (problem,) = refused(*lists, "--folds", "11", "--group", "speaker[0-9]+")
    assert problem.startswith("--folds 11: there are only 10 groups: speaker01, speaker02")
    (problem,) = refused(*lists, "--folds", "2", "--group", "^[^0-9]+")
    assert problem == "--folds 2: there is only 1 group: speaker"
    problems = refused(*lists, "--folds", "2", "--group", "speaker0(.)")
    assert problems == [
        f"val.txt:{i}: --group 'speaker0(.)' finds nothing in 'speaker10_take{i - 15}'" for i in range(15, 20)
    ]
    write("few.txt", "".join(speakers[:3]))
    assert refused("few.txt", "--folds", "2") == ["--folds 2: no class has so many clips, the largest has 1"]
    for arguments, said in (
        (("--folds", "1"), "--folds: expected a whole number from 2, got 1"),
        (("--group", "x"), "--group is for --folds, which is missing"),
        (("--folds", "2", "--group", "("), "--group: '(' is no regular expression"),
    ):
        done = make_lists(*lists, *arguments)
        assert done.returncode == 2
        assert said in done.stderr


def test_what_is_there_is_kept(speakers):
    lists = ("train.txt", "val.txt", "--group", "speaker[0-9]+")
    folds(*lists)
    assert refused(*lists, "--folds", "5")[0] == "out/fold_1/training.txt: exists already; --force replaces it"
    problems = refused(*lists, "--folds", "3", "--force")
    assert problems == [f"out/fold_{i}/data.json: a fold beyond the 3 that are asked for; remove it" for i in (4, 5)]


def test_a_fold_can_be_loaded_and_shares_the_index(own_folder):
    for label in "ab":
        for i in range(4):
            os.makedirs(f"d/{label}", exist_ok=True)
            write_video(f"d/{label}/{i}.mp4", 4, (48, 64))
    folds("d", number=2)
    sizes = []
    for i in (1, 2):
        clips = load_clips(load_config(f"out/fold_{i}/data.json", f"out/fold_{i}/data.json"))
        assert {split: len(members) for split, members in clips.items()} == {"training": 4, "validation": 4}
        with open("out/index.jsonl") as file:
            sizes.append(len(file.readlines()))
    assert sizes == [sizes[0]] * 2
    with open("out/fold_2/data.json") as file:
        assert json.load(file)["dataset"]["class_names"] == ["a", "b"]
