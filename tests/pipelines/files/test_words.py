"""Numbers in sentences."""

from pipelines.files.words import counted


def test_one_is_singular_and_all_else_plural():
    assert [counted(number, "clip") for number in (0, 1, 2)] == ["0 clips", "1 clip", "2 clips"]
    assert [counted(number, "class has", "classes have") for number in (1, 2)] == ["1 class has", "2 classes have"]
