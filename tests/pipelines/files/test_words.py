"""Numbers and long lists in messages."""

from pipelines.files.words import counted, first_of


def test_one_is_singular_and_all_else_plural():
    assert [counted(number, "clip") for number in (0, 1, 2)] == ["0 clips", "1 clip", "2 clips"]
    assert [counted(number, "class has", "classes have") for number in (1, 2)] == ["1 class has", "2 classes have"]


def test_long_lists_are_cut():
    assert first_of("abc", 3) == ["a", "b", "c"]
    assert first_of(range(5), 2) == ["0", "1", "... and 3 more"]
