"""Lists of pieces of files: what is read, and what is refused with file and line."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.dataset.clips import Dataset
from pipelines.dataset.list_file import listed_ids, read_entries, read_list
from tests.pipelines.dataset.test_list_file import GAPS, IDS, list_file, problems

REFUSED = {
    "no time": (b"a 0 1 0\nb 0\n", "2: expected `ID START END label`, as line 1 has times, got 'b 0'"),
    "no times by the header": (b"id start end label\nb 0\n", "2: expected `ID START END label`, as the header has"),
    "times in a list without": (b"# one\na 0\nb 0 1.5 0\n", "3: has times, but line 2 has none: 'b 0 1.5 0'"),
    "end before start": (b"a 5 4.5 0\n", "1: the end, 4.5 s, must lie behind the start, 5 s"),
    "empty": (b"a 5 5.0 0\n", "1: the end, 5.0 s, must lie behind the start, 5 s"),
    "negative": (b"a -5 5 0\n", "1: the start must be in seconds from 0, such as 12.5, got '-5'"),
    "no number": (b"a nan 5 0\n", "1: the start must be in seconds from 0, such as 12.5, got 'nan'"),
    "infinite": (b"a 0 inf 0\n", "1: the end must be in seconds from 0, such as 12.5, got 'inf'"),
    "of a clock": (b"id start end label\na 0:10 0:20 0\n", "2: the start must be in seconds from 0"),
    "other digits": ("id start end label\na \u0661 5 0\n".encode(), "2: the start must be in seconds from 0"),
    "huge": (b"a 0 9999999999 0\n", "1: the end must be in seconds from 0"),
    "no label": (b"a 0 5 x\n", "1: the label must be a whole number from 0, got 'x'"),
    "another label": (b"a 0 5 0\na 0.0 5.0 1\n", "2: 'a 0 5' has label 1, but line 1 gives it 0"),
    "an id that leads out": (b"../a 0 5 0\n", "1: the id leaves the data folder"),
    "columns in another order": (b"id label start end\na 0 0 5\n", "1: expected the header `id label` or `id start"),
    "only a header": (b"id start end label\n", " the list is empty"),
}


@pytest.mark.parametrize("header", [b"", b"id start end label\n", b"# pieces\n\nID  START\tEND LABEL\r\n"])
def test_pieces_are_read(header):
    with list_file(header + b"a 0 10 0\nsub/b c 10.50 20 1\na 10 12 0\n") as name:
        entries = read_entries(name)
    assert [entry[:2] + entry[3:5] for entry in entries] == [
        ("a 0 10", 0, 0.0, 10.0),
        ("sub/b c 10.5 20", 1, 10.5, 20.0),
        ("a 10 12", 0, 10.0, 12.0),
    ]
    assert entries[0] == next(iter(entries)) == entries[:1][0]
    assert [entry.file for entry in entries] == entries.files == ["a", "sub/b c", "a"]


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused(kind):
    content, problem = REFUSED[kind]
    with list_file(content) as name:
        assert problems(name)[0].startswith(problem)


def test_a_header_tells_ids_that_end_in_numbers_from_times():
    with list_file(b"id label\na 1 2 0\nb 1\n") as name:
        assert [entry[:2] for entry in read_list(name)] == [("a 1 2", 0), ("b", 1)]


def test_pieces_that_overlap_with_other_labels_are_a_warning(caplog):
    with list_file(b"a 0 10 0\na 9.5 12 0\nb 0 10 1\na 12 14 1\n") as name:
        read_list(name)
    assert not caplog.text
    with list_file(b"a 0 10 0\nb 0 10 1\na 1 2 0\na 9.5 12 1\nb 9 12 0\n") as name:
        read_list(name)
    assert "2 pairs of pieces overlap with other labels, the first in lines 1 and 4" in caplog.text


def test_a_repeated_piece_counts_once_and_is_a_warning(caplog):
    with list_file(b"a 1 2 0\na 1.0 2.00 0\n") as name:
        assert len(read_list(name)) == 1
    assert "1 line repeats a clip and is left out, the first is line 2" in caplog.text


def test_a_file_with_pieces_in_both_lists_is_one_file(tmp_path):
    (tmp_path / "training.txt").write_text("b 0 1 0\na 0 1 0\na 1 2 1\n")
    (tmp_path / "validation.txt").write_text("a 2 3 0\nc 2 3 0\n")
    assert listed_ids(Dataset(data_dir=str(tmp_path))) == ["b", "a", "c"]


def test_an_id_can_stand_in_a_list():
    with list_file(b"a 0.00005 0.0002 0\na 0 999999999 0\n") as name:
        (first, second) = read_list(name)
    assert (first.id, second.id) == ("a 0.00005 0.0002", "a 0 999999999")


TIMES = st.integers(0, 10**9).map(lambda milliseconds: f"{milliseconds / 1000:.3f}")


@settings(deadline=None)
@given(st.dictionaries(st.tuples(IDS, TIMES, TIMES), st.integers(0, 999_999_999), min_size=1, max_size=8), GAPS)
def test_a_list_is_read_as_it_was_written(pieces, gap):
    pieces = {(clip, *sorted((a, b), key=float)): label for (clip, a, b), label in pieces.items() if a != b}
    lines = [gap.join([*piece, str(label)]) for piece, label in pieces.items()]
    with list_file("\n".join(["id start end label", *lines, "x 0 1 0"]).encode()) as name:
        found = read_list(name)
    written = [(clip, float(start), float(end), label) for (clip, start, end), label in pieces.items()]
    assert [(entry.file, entry.start, entry.end, entry.label) for entry in found[: len(lines)]] == written
