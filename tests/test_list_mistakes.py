"""What tools/make_lists.py refuses, and what it says: lists, ids and files of classes that do not fit."""

import pytest

from tests.list_making import made, put, refused, write


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "list.txt: the list is empty"),
        ("\n# nothing\n", "list.txt: the list is empty"),
        ("hello\nworld\n", "list.txt: cannot tell the format from 'hello'; give it with --format (kinetics, "),
        ("a 3\nb 1 x\n", "list.txt: cannot tell the format from 'a 3'"),
    ],
)
def test_a_list_that_cannot_be_recognised(own_folder, content, problem):
    write("list.txt", content)
    (line,) = refused("list.txt")
    assert line.startswith(problem)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("c.txt", "", "no class name in it"),
        ("c.txt", "a\nb\na\n", "the class 'a' stands there twice"),
        ("c.json", '{"a": 0, "b": 2}', "numbers 0, 1, 2, ... without gaps"),
        ("c.json", "3", "expected a JSON list of class names"),
        ("c.txt", "a\nc\n", "the class 'b' is none of the 2"),
    ],
)
def test_class_files_that_do_not_fit(own_folder, name, content, problem):
    put(*(f"d/{label}/{i}.mp4" for label in "ab" for i in range(2)))
    write(name, content)
    assert problem in refused("d", "--classes", name)[0]


@pytest.mark.parametrize("content", ['["b", "a"]', '{"b": 0, "a": "1"}', '{"0": "b", "1": "a"}'])
def test_class_files_as_json(own_folder, content):
    put(*(f"d/{label}/{i}.mp4" for label in "ab" for i in range(2)))
    write("c.json", content)
    assert made("d", "--classes", "c.json")[2] == ("b", "a")


def test_class_files_with_numbers(own_folder):
    put(*(f"d/{label}/{i}.mp4" for label in ("1 a", "b c") for i in range(2)))
    write("c.txt", "1 b_c\n2 1 a\n")
    assert made("d", "--classes", "c.txt")[2] == ("b_c", "1 a")
