"""tools/make_lists.py where a list names the classes, and where names come in different Unicode forms."""

import pytest

from tests.pipelines.annotations.list_making import made, put, refused, write

NAMED = {
    "comma": "a b.mp4,archery\nc,d.mp4,hitting, ball\ne.webm,archery\n",
    "quotes": '"a b.mp4","archery"\n"c,d.mp4","hitting, ball"\n"e.webm","archery"\n',
    "header": 'path,classname\na b.mp4,archery\n"c,d.mp4","hitting, ball"\ne.webm,archery\n',
    "header in words": "Video Path,Class Name\na b.mp4,archery\nc,d.mp4,hitting, ball\ne.webm,archery\n",
    "tab": "a b.mp4\tarchery\nc,d.mp4\thitting, ball\ne.webm\tarchery\n",
    "semicolon": "a b.mp4;archery\nc,d.mp4;hitting, ball\ne.webm;archery\n",
    "space": "a b.mp4 archery\nc,d.mp4 hitting, ball\ne.webm archery\n",
    "without endings": "a b,archery\nc,d,hitting, ball\ne,Archery\n",
    "other spelling": 'a b.mp4 , Archery\nc,d.mp4,"hitting,_ball"\ne.webm,archery\n',
}


@pytest.mark.parametrize("kind", NAMED)
@pytest.mark.parametrize("classes", ["hitting, ball\narchery\n", '0,"hitting, ball"\n1,archery\n'])
def test_paths_with_the_names_of_classes(own_folder, kind, classes):
    put("out/videos/a b.mp4", "out/videos/c,d.mp4", "out/videos/e.webm")
    write("train.csv", NAMED[kind])
    write("classes.csv", classes)
    expected = {"a b": 1, "c,d": 0, "e": 1}
    names = ("hitting, ball", "archery")
    assert made("train.csv", "train.csv", "--classes", "classes.csv") == (expected, expected, names)


def test_names_that_the_class_file_does_not_have_are_named(own_folder):
    put("out/videos/a.mp4", "out/videos/b.mp4")
    write("train.csv", "path,label\na.mp4,archery\nb.mp4,archry\na.mp4,3\n")
    write("classes.txt", "archery\nrunning\n")
    assert refused("train.csv", "--classes", "classes.txt") == [
        "train.csv:3: the class 'archry' is none of the 2 of the class file",
        "train.csv:4: the class '3' is none of the 2 of the class file",
    ]
    write("train.csv", "path,label\na.mp4,archery\nb.mp4,running\n")
    problems = refused("train.csv")
    assert problems[0] == (
        "train.csv:2: the label must be a whole number from 0, got 'archery'; a list with the names of classes needs "
        "--classes"
    )
    write("numbers.csv", "path,label\na.mp4,0\nb.mp4,1\n")
    expected = {"a": 0, "b": 1}
    assert made("numbers.csv", "numbers.csv", "--classes", "classes.txt") == (
        expected,
        expected,
        ("archery", "running"),
    )


def test_lists_folders_and_classes_in_different_unicode_forms(own_folder):
    put("d/cafe\u0301/e\u0301 1.mp4", "d/cafe\u0301/2.mp4", "d/a/3.mp4")
    write("list.csv", "caf\u00e9/\u00e9 1.mp4 1\ncaf\u00e9/2.mp4 1\na/3.mp4 0\n")
    training, _, _ = made("list.csv", "list.csv", "--videos", "d")
    assert training == {"cafe\u0301/e\u0301 1": 1, "cafe\u0301/2": 1, "a/3": 0}  # the names that the files have
    write("classes.txt", "caf\u00e9\na\n")
    put("d/a/4.mp4")
    assert made("d", "--classes", "classes.txt", "--force")[2] == ("caf\u00e9", "a")
    assert made("d", "--force")[2] == ("a", "caf\u00e9")
    assert "in another Unicode form: 'cafe\\u0301' (NFD) in place of 'caf\\xe9' (NFC)" in refused("d/caf\u00e9")[0]
