"""List files: what is read, and what is refused with file and line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.clips import Dataset, Entry, ListError, check_labels, find_video, read_list


@pytest.fixture
def write(tmp_path):
    def write(content: bytes | str):
        path = tmp_path / "list.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def problems(path) -> list[str]:
    with pytest.raises(ListError) as caught:
        read_list(path)
    return [problem.removeprefix(f"{path}:") for problem in caught.value.problems]


def test_ids_and_labels(write):
    path = write(b"\xef\xbb\xbf# a comment\r\n\r\nZZHMs7BdcCc_000033 0\r\n  sub/b c  \t 12 \r\nclip_000044 1")
    assert read_list(path) == [
        Entry("ZZHMs7BdcCc_000033", 0, 3),
        Entry("sub/b c", 12, 4),
        Entry("clip_000044", 1, 5),
    ]


def test_all_problems_are_named_at_once(write):
    path = write(b"a 0\nb\nc -1\nd 1.0\ne x\n\xff\xfe 3\n../f 0\n/g 0\n~h 0\ni\x00 0\na 1\n")
    assert problems(path) == [
        "2: expected `ID label`, got 'b'",
        "3: the label must be a whole number from 0, got '-1'",
        "4: the label must be a whole number from 0, got '1.0'",
        "5: the label must be a whole number from 0, got 'x'",
        "6: not UTF-8 text",
        "7: the id leaves the data folder: '../f'",
        "8: the id leaves the data folder: '/g'",
        "9: the id leaves the data folder: '~h'",
        "10: the id holds control characters: 'i\\x00'",
        "11: 'a' has label 1, but line 1 gives it 0",
    ]


def test_a_repeated_line_counts_once(write):
    assert len(read_list(write("a 0\nb 1\na 0\n"))) == 2


@pytest.mark.parametrize("content", ["", "\n\n", "# only a comment\n"])
def test_an_empty_list_is_refused(write, content):
    assert problems(write(content)) == [" the list is empty; expected one `ID label` a line"]


def test_a_missing_list_is_refused(tmp_path):
    with pytest.raises(ListError, match="No such file"):
        read_list(tmp_path / "none.txt")


@given(st.binary(max_size=300))
def test_any_bytes_give_entries_or_a_list_error(content):
    import tempfile

    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        try:
            entries = read_list(file.name)
        except ListError as error:
            assert all(problem.startswith(file.name) for problem in error.problems)
        else:
            assert len({entry.id for entry in entries}) == len(entries) > 0


def test_labels_without_gaps():
    def entries(*labels):
        return [Entry(f"clip{i}", label, i) for i, label in enumerate(labels)]

    assert check_labels(entries(0, 1, 2, 1), entries(2)) == []
    (gap,) = check_labels(entries(0, 3), entries(0))
    assert "no clip has label 1, 2" in gap
    (unknown,) = check_labels(entries(0, 1), entries(0, 2))
    assert "labels [2] do not occur in the training list (0 to 1)" in unknown
    (names,) = check_labels(entries(0, 1), entries(0), ("only one",))
    assert "1 names for 2 classes" in names


def test_the_file_of_an_id(tmp_path):
    dataset = Dataset(data_dir=str(tmp_path))
    (tmp_path / "videos" / "sub").mkdir(parents=True)
    for name in ("a.mp4", "a.webm", "b.webm", "sub/c_000044.mkv"):
        (tmp_path / "videos" / name).touch()
    assert find_video(dataset, "a").name == "a.mp4"
    assert find_video(dataset, "b").name == "b.webm"
    assert find_video(dataset, "sub/c_000044") == tmp_path / "videos/sub/c_000044.mkv"
    with pytest.raises(ListError, match="no video with one of the endings .mp4"):
        find_video(dataset, "c")
