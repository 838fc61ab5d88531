"""Lists of paths with labels, TSM's lists, and folders with a subfolder for each class."""

import pytest

from tests.pipelines.annotations.list_making import made, make_lists, put, refused, write

CLASSES = ("alpha", "beta gamma")


PATHS = ("sub dir/clip 4.mp4", "plain.mkv", "a 1 2.webm", "clip_000044.MP4.mp4")


@pytest.mark.parametrize("style", ["{} {}", "{},{}", "{}\t{}", "{} , {}", "{};{}", '"{}" {}'])
def test_paths(own_folder, style):
    put(*(f"out/videos/{path}" for path in PATHS))
    for split in ("train", "val"):
        write(f"{split}.csv", "# a comment\n\n" + "".join(style.format(p, i % 2) + "\n" for i, p in enumerate(PATHS)))
    expected = {"sub dir/clip 4": 0, "plain": 1, "a 1 2": 0, "clip_000044.MP4": 1}
    assert made("train.csv", "val.csv") == (expected, expected, ())
    warning = make_lists("train.csv", "val.csv", "--force").stderr
    assert "4 clips are in both lists, for example a 1 2: validation scores will be too high" in warning


def test_labels_are_in_the_order_of_their_numbers(own_folder):
    put(*(f"out/videos/{i}.mp4" for i in range(12)))
    write("list.txt", "".join(f"{i}.mp4 {i}\n" for i in range(12)))
    training, _, classes = made("list.txt", "list.txt")
    assert (training, classes) == ({str(i): i for i in range(12)}, ())


def test_paths_without_endings_with_a_prefix_and_counted_from_one(own_folder):
    put(*(f"v/{name}.mp4" for name in ("a/x.1", "a/y_000044", "b z/x")))
    write("train.txt", f"/data/k/a/x.1 1\n{own_folder}/v/a/y_000044.mp4 2\n/data/k/./b z/x 2\n")
    write("val.txt", "/data/k/a//x.1 1\nb z/x 2\n")
    write("names.txt", "one\ntwo\n")
    more = ("--videos", "v", "--strip", "/data/k/")
    training, validation, classes = made("train.txt", "val.txt", *more, "--first_label", "1", "--classes", "names.txt")
    assert training == {"a/x.1": 0, "a/y_000044": 1, "b z/x": 1}
    assert (validation, classes) == ({"a/x.1": 0, "b z/x": 1}, ("one", "two"))
    problems = refused("train.txt", "val.txt", *more, "--classes", "names.txt")
    assert "train.txt:2: the class '2' is none of the 2 of the class file" in problems
    assert made("train.txt", "val.txt", *more, "--force")[2] == ("1", "2")  # numbers of the list, as they change


def test_mistakes_in_paths_are_named_at_once(own_folder):
    put("out/videos/a.mp4", "out/videos/b.mp4")
    with open("bad.txt", "wb") as file:
        file.write(b"a.mp4 -1\na.mp4 0 3\na.mp4 x\na.mp4 1.0\nalone\n../b.mp4 0\n/abs/b.mp4 0\n\xff.mp4 0\n")
        file.write(b"b.mp4 1\nb.mp4 0\n~c.mp4 1\n")
    for problem, expected in zip(
        refused("bad.txt", "--format", "paths"),
        [
            "bad.txt:1: the label is negative: -1",
            "bad.txt:2: several labels or numbers (0, 3); a clip has one class",
            "bad.txt:3: the label must be a whole number from 0, got 'x'",
            "bad.txt:4: the label must be a whole number from 0, got '1.0'",
            "bad.txt:5: expected a path, ' ' and a label, got 'alone'",
            "bad.txt:6: the path leaves the folder of the clips, out/videos: '../b.mp4'; see --strip",
            "bad.txt:7: the path leaves the folder of the clips, out/videos: '/abs/b.mp4'",
            "bad.txt:8: not UTF-8 text",
            "bad.txt:11: the id leaves the data folder: '~c'",
            "bad.txt:10: 'b' is of class '0', but bad.txt:9 says '1'",
        ],
        strict=True,
    ):
        assert problem.startswith(expected)


def test_tsm(own_folder):
    write("train.txt", "/ssd/k/my clip 300 0\n/ssd/k/b_000044 12 1\n")
    write("val.txt", "/ssd/k/c 9 1\n")
    write("category.txt", "first\nsecond\n")
    put("v/my clip.mp4", "v/b_000044.mp4", "v/c.avi")
    more = ("--videos", "v", "--strip", "/ssd/k", "--classes", "category.txt")
    assert made("train.txt", "val.txt", *more) == ({"my clip": 0, "b_000044": 1}, {"c": 1}, ("first", "second"))
    write("val.txt", "c 9 1 3\nc 9\nc 9 -1\n")
    problems = refused("train.txt", "val.txt", *more)
    assert "val.txt:1: expected `path n_frames label` with one label, got '9 1 3' after the path" in problems
    assert any(problem.startswith("val.txt:2: expected `path n_frames label`") for problem in problems)
    assert any(problem.startswith("val.txt:3: the label is negative: -1") for problem in problems)


def test_a_folder_with_splits(own_folder):
    put(
        "d/train/b x/1.mp4",
        "d/train/a/deep/2.mkv",
        "d/train/a/._2.mkv",
        "d/Val/a/3.mp4",
        "d/test/a/4.mp4",
        "d/notes.txt",
    )
    expected = {"train/b x/1": 1, "train/a/deep/2": 0}, {"Val/a/3": 0}, ("a", "b x")
    assert made("d") == expected
    assert made("d/train", "d/Val", "--videos", "d", "--force") == expected
    put("d/extra/a/5.mp4", "d/6.mp4", "d/train/7.mp4")
    assert refused("d", "--force") == [
        "'d/6': lies in none of the folders of the splits",
        "'d/extra/a/5': lies in none of the folders of the splits",
        "'d/train/7': lies in no class folder",
    ]
    problems = refused("d/train", "d/Val", "--force")
    assert "d/Val: lies outside the folder of the clips, d/train; see --videos" in problems
    problems = refused("d", "d/Val", "--force")
    assert "VALIDATION has no place beside a list that holds several splits itself" in problems


def test_classes_may_be_called_like_splits(own_folder):
    put(*(f"d/{name}/{i}.mp4" for name in ("train", "plane") for i in range(2)))
    assert made("d")[2] == ("plane", "train")
    put(*(f"deep/{name}/x/{i}.mp4" for name in ("train", "plane") for i in range(2)))
    assert made("deep", "--force")[2] == ("plane", "train")
    put("e/training/a/1.mp4", "e/training/b/2.mp4", "e/training/b/3.mp4")
    assert made("e", "--force")[2] == ("a", "b")
