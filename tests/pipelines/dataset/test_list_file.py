"""List files: what is read, and what is refused with file and line."""

import tempfile
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.dataset.clips import Dataset
from pipelines.dataset.list_file import Entry, check_labels, read_list
from pipelines.dataset.list_line import Form, id_problem
from pipelines.dataset.media_files import find_video
from pipelines.files.errors import ListError
from pipelines.files.text import NOT_UTF8


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
        f"6: {NOT_UTF8}",
        "7: the id leaves the data folder: '../f'",
        "8: the id leaves the data folder: '/g'",
        "9: the id leaves the data folder: '~h'",
        "10: the id holds control characters: 'i\\x00'",
        "11: 'a' has label 1, but line 1 gives it 0",
    ]


def test_a_repeated_line_counts_once_and_is_a_warning(write, caplog):
    assert len(read_list(write("a 0\nb 1\na 0\n"))) == 2
    assert "list.txt: 1 line repeats a clip and is left out, the first is line 3" in caplog.text


@pytest.mark.parametrize("content", ["", "\n\n", "# only a comment\n"])
def test_an_empty_list_is_refused(write, content):
    assert problems(write(content)) == [" the list is empty; expected one `ID label` a line"]


def test_a_missing_list_is_refused(tmp_path):
    with pytest.raises(ListError, match="No such file"):
        read_list(tmp_path / "none.txt")


@contextmanager
def list_file(content: bytes):
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        yield file.name


LIST_LIKE = st.lists(st.text("ab# 01-\t\x00\x85\u2028é../~", max_size=12), max_size=8).map("\n".join).map(str.encode)


@settings(deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "replace")) | LIST_LIKE)
def test_any_bytes_give_entries_or_a_list_error(content):
    with list_file(content) as name:
        try:
            entries = read_list(name)
        except ListError as error:
            assert all(problem.startswith(name) for problem in error.problems)
        else:
            assert len({entry.id for entry in entries}) == len(entries) > 0
            assert all(id_problem(entry.file) is None and entry.label >= 0 for entry in entries)
            assert all(0 <= entry.start < entry.end for entry in entries)


def looks_like_a_piece(clip_id: str) -> bool:
    form = Form()
    form.is_header(f"{clip_id} 0", 1)
    return bool(form.timed)


IDS = st.text(st.sampled_from("ab4mp /.-_#~") | st.characters(), min_size=1, max_size=15).filter(
    lambda clip_id: id_problem(clip_id) is None and not looks_like_a_piece(clip_id)
)
GAPS = st.text(" \t", min_size=1, max_size=3)
FILLERS = st.sampled_from(["", " ", "# a comment 3", "  # x"])
BROKEN = st.sampled_from(["alone", "x -1", "x 1.5", "x one", "../x 0", "/x 0", "x\x00y 0", "~x 0", "x 1234567890"])


@st.composite
def list_files(draw, *other_lines) -> tuple[bytes, list[Entry], list[int]]:
    """(content, the entries that it stands for, numbers of the lines that were drawn from `other_lines`)."""
    label_of = draw(st.dictionaries(IDS, st.integers(0, 999_999_999), min_size=1, max_size=6))
    entries, others, lines = {}, [], []
    for clip_id in draw(st.lists(st.sampled_from(sorted(label_of)), min_size=1, max_size=12)):  # some of them repeat
        lines += draw(st.lists(FILLERS, max_size=2))
        for other in other_lines:
            lines.append(draw(other))
            others.append(len(lines))
        lines.append(f"{draw(st.just('') | GAPS)}{clip_id}{draw(GAPS)}{label_of[clip_id]}{draw(st.just('') | GAPS)}")
        entries.setdefault(clip_id, Entry(clip_id, label_of[clip_id], len(lines)))
    text = "".join(line + draw(st.sampled_from(["\n", "\r\n"])) for line in lines)
    text = draw(st.sampled_from(["", "\ufeff"])) + (text.rstrip("\r\n") if draw(st.booleans()) else text)
    return text.encode(), list(entries.values()), others


@settings(deadline=None)
@given(list_files())
def test_a_list_is_read_as_it_was_written(made):
    content, entries, _ = made
    with list_file(content) as name:
        assert read_list(name) == entries


@settings(deadline=None)
@given(list_files(BROKEN))
def test_every_broken_line_is_named_and_no_other(made):
    content, _, broken = made
    with list_file(content) as name, pytest.raises(ListError) as caught:
        read_list(name)
    assert [int(problem.removeprefix(f"{name}:").partition(":")[0]) for problem in caught.value.problems] == broken


def test_labels_without_gaps():
    def entries(*labels):
        return [Entry(f"clip{i}", label, i) for i, label in enumerate(labels)]

    assert check_labels(entries(0, 1, 2, 1), entries(2)) == []
    (gap,) = check_labels(entries(0, 3), entries(0))
    assert "no clip has label 1, 2" in gap
    (unknown,) = check_labels(entries(0, 1), entries(0, 2))
    assert "labels [2] do not occur in the training list (0 to 1)" in unknown
    (names,) = check_labels(entries(0, 1), entries(0), ("only one",))
    assert "1 name for 2 classes" in names


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
