"""What tools/make_lists.py refuses, and what it says: lists, ids and files of classes that do not fit."""

import os

import pytest

from tests.pipelines.annotations.list_making import made, put, refused, write


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
        ("c.txt", "a\nb\na\n", "the class 'a' is listed twice"),
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


@pytest.mark.parametrize(
    "content", ["0 b\n1 a\n", "2,a\n1,b\n", "id,name\n0,b\n1,a\n", "b 0\na 1\n", '"b",1\n"a",2\n', '"b"\n"a"\n']
)
def test_numbers_and_quotes_of_class_files(own_folder, content):
    put(*(f"d/{label}/{i}.mp4" for label in "ab" for i in range(2)))
    write("c.txt", content)
    assert made("d", "--classes", "c.txt")[2] == ("b", "a")


@pytest.mark.parametrize("kind", ["nowhere", "folder", "empty"])
@pytest.mark.parametrize("what", ["source", "--classes", "--videos"])
def test_paths_that_lead_nowhere_to_a_folder_and_to_an_empty_file(own_folder, what, kind):
    put(*(f"d/{label}/{i}.mp4" for label in "ab" for i in range(2)), "empty.txt")
    os.makedirs("folder")
    path = {"nowhere": "nowhere.txt", "folder": "folder", "empty": "empty.txt"}[kind]
    (line,) = refused(path) if what == "source" else refused("d", what, path)
    if (what, kind) == ("--videos", "folder"):  # there is one, but the clips lie elsewhere
        assert "d: lies outside the folder of the clips, folder" in line
    else:
        assert path in line


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-16-le"])
def test_lists_and_class_files_of_other_encodings(own_folder, encoding):
    put(*(f"d/{label}/{i}.mp4" for label in ("é", "b") for i in range(2)))
    for name, text in (("list.txt", "é/0.mp4 0\nb/0.mp4 1\n"), ("classes.txt", "b\né\n"), ("c.json", '["b",\n"é"]')):
        with open(name, "w", encoding=encoding) as file:
            file.write(text)
    for line, place in (
        (refused("list.txt", "--videos", "d", "--format", "paths")[0], "list.txt:1"),
        (refused("list.txt", "--videos", "d")[0], "list.txt:1"),
        (refused("d", "--classes", "classes.txt")[0], "classes.txt:2"),
        (refused("d", "--classes", "c.json")[0], "c.json:2"),
    ):
        expected = f"{place.partition(':')[0]}:1: UTF-16 text" if "16" in encoding else f"{place}: not UTF-8 text"
        assert line.startswith(expected)
        assert "save" in line
