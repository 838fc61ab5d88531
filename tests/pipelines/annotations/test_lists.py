"""Lists made of generated ones: what holds for all of them."""

import random
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from pipelines.annotations.build import build_lists
from pipelines.annotations.formats import FORMATS, Source, recognise
from pipelines.annotations.media import MediaFolder
from pipelines.annotations.paths import PathOptions, read_paths, read_tsm
from pipelines.annotations.rows import Listing, Row, without_ending
from pipelines.annotations.split import ListedClip, draw_validation
from pipelines.annotations.write import write_lists
from pipelines.dataset.clips import Dataset
from pipelines.dataset.list_file import check_labels, listed_ids, read_list
from pipelines.dataset.list_line import id_problem
from pipelines.files.errors import ListError

# The characters that matter to a reader of lists, and any others that can be printed.
NAMES = st.text(st.sampled_from("ab4mp. ,;-_~#'\"0") | st.characters(exclude_characters="/"), min_size=1, max_size=12)
IDS = st.lists(NAMES, min_size=1, max_size=3).map("/".join).filter(lambda name: id_problem(name) is None)


@pytest.fixture(scope="module")
def nothing(tmp_path_factory) -> MediaFolder:
    """A folder without clips: with keep_missing, the ids are the names that the rows give."""
    return MediaFolder(tmp_path_factory.mktemp("nothing"))


@st.composite
def listings(draw) -> Listing:
    """Rows that fit together: each name has one class."""
    labels = st.sampled_from(["walk", "run fast", "jump (high)", "#4"])
    label_of = draw(st.dictionaries(IDS, labels, min_size=1, max_size=25))
    splits = draw(st.sampled_from([("",), ("training",), ("training", "validation"), ("", "validation", "test")]))
    names = st.lists(st.sampled_from(sorted(label_of)), min_size=1, max_size=40)
    return Listing([Row("list:1", name, label_of[name], draw(st.sampled_from(splits))) for name in draw(names)])


@settings(deadline=None)
@given(listings())
def test_what_is_written_can_be_read_and_says_the_same(nothing, listing):
    try:
        lists = build_lists(listing, nothing, by_name=False, numbered=False, keep_missing=True)
    except ListError as error:
        assert all("no line" in text or "no class" in text or "no validation" in text for text in error.problems)
        return
    with tempfile.TemporaryDirectory() as folder:
        write_lists(Path(folder) / "out", lists, nothing, name="generated")
        read = {split: read_list(Path(folder) / f"out/{split}.txt") for split in ("training", "validation")}
    assert check_labels(read["training"], read["validation"], lists.classes) == []
    assert {entry.label for entry in read["training"]} == set(range(len(lists.classes)))
    assert lists.classes == sorted(lists.classes)
    given_rows = {(row.name, row.label) for row in listing.rows if row.split != "test"}
    for split, entries in read.items():
        assert [(entry.id, (entry.label,)) for entry in entries] == [clip[:2] for clip in lists.clips[""][split]]
        assert {(entry.id, lists.classes[entry.label]) for entry in entries} <= given_rows
    training = {row.name for row in listing.rows if row.split in ("", "training")}
    both = {entry.id for split in read.values() for entry in split}
    if not any(row.split == "validation" for row in listing.rows):
        assert both == training
    else:
        assert {entry.id for entry in read["training"]} == training


@settings(deadline=None)
@given(
    st.dictionaries(st.integers(0, 6), st.integers(1, 30), min_size=1),
    st.floats(0.01, 0.5),
    st.integers(0, 2**32 - 1),
    st.randoms(use_true_random=False),
)
def test_the_draw_is_disjoint_complete_in_proportion_and_the_same_again(sizes, fraction, seed, shuffler: random.Random):
    clips = [
        ListedClip(f"{label}/{i}", (label,), Row("", "", "")) for label, size in sizes.items() for i in range(size)
    ]
    shuffler.shuffle(clips)
    if max(sizes.values()) == 1:
        with pytest.raises(ListError, match="no class has two clips"):
            draw_validation(clips, fraction, seed, [])
        return
    split = draw_validation(clips, fraction, seed, [])
    assert sorted(split["training"] + split["validation"]) == sorted(clips)
    assert {clip.labels[0] for clip in split["training"]} == sizes.keys()  # so no label is lost
    drawable = {label: size for label, size in sizes.items() if size > 1}
    total, drawn = sum(drawable.values()), Counter(clip.labels[0] for clip in split["validation"])
    assert drawn.total() == max(int(total * fraction), len(drawable))
    assert all(abs(drawn[label] - drawn.total() * size / total) < 1 for label, size in drawable.items())
    assert drawn.keys() <= drawable.keys()
    drawable = sorted(clip for clip in clips if sizes[clip.labels[0]] > 1)
    kinds = [clip.labels[0] for clip in drawable]
    assert set(train_test_split(drawable, test_size=drawn.total(), random_state=seed, stratify=kinds)[1]) == set(
        split["validation"]
    )
    again = draw_validation(shuffler.sample(clips, len(clips)), fraction, seed, [])
    assert set(again["validation"]) == set(split["validation"])


LABELS = st.sets(st.integers(0, 4), min_size=1, max_size=3).map(sorted).map(tuple)
PIECES = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 50), LABELS), min_size=1, max_size=40)


@settings(deadline=None)
@given(PIECES, st.floats(0.01, 0.5), st.integers(0, 9), st.randoms(use_true_random=False))
def test_the_draw_keeps_the_pieces_of_a_file_together(pieces, fraction, seed, shuffler: random.Random):
    clips = [ListedClip(f"{file} {start} 99", labels, Row("", "", "", "", start, 99)) for file, start, labels in pieces]
    labels_in, file_in = (lambda some: {label for clip in some for label in clip.labels}), lambda clip: clip.id[0]
    try:
        split = draw_validation(clips, fraction, seed, [])
    except ListError:  # each file has a label that no other one has
        files = {file: labels_in(clip for clip in clips if file_in(clip) == file) for file in map(file_in, clips)}
        assert all(
            labels - labels_in(clip for clip in clips if file_in(clip) != file) for file, labels in files.items()
        )
        return
    assert sorted(split["training"] + split["validation"]) == sorted(clips)
    assert not set(map(file_in, split["training"])) & set(map(file_in, split["validation"]))
    assert split["validation"]
    assert labels_in(split["training"]) == labels_in(clips)
    again = draw_validation(shuffler.sample(clips, len(clips)), fraction, seed, [])
    assert sorted(again["validation"]) == sorted(split["validation"])


@settings(deadline=None)
@given(st.lists(st.tuples(IDS, st.integers(0, 999)), min_size=1, max_size=8), st.sampled_from(" ,;\t|"), st.data())
def test_lists_of_paths_are_read_as_they_were_written(nothing, rows, delimiter, data):
    rows = [row for row in rows if row[0][0] != '"'] or [("a", 0)]
    ending = data.draw(st.sampled_from([".mp4", ".AVI", ".webm"]))
    options = PathOptions(root=nothing.root, delimiter=delimiter)
    for reader, middle in ((read_paths, ""), (read_tsm, f"300{delimiter}")):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "list"
            lines = (f"{name}{ending}{delimiter}{middle}{label}\r\n" for name, label in rows)
            path.write_text("\ufeff" + "".join(lines), encoding="utf-8", newline="")
            listing = reader(path, options)
        assert listing.problems == []
        expected = [(str(Path(f"{name}{ending}"))[: -len(ending)], str(label)) for name, label in rows]
        assert [(row.name, row.label) for row in listing.rows] == expected


LINES = st.text('ab4;,.{}[]"-1 \t\n\r\x00é/v_', max_size=60).map(str.encode) | st.binary(max_size=60)
HEADS = st.sampled_from(
    [
        b"",
        b"label,youtube_id,time_start,time_end,split\n",
        b"a;b\n",
        b'[{"id":1,"template":"x"},',
        b"A/v_x.avi 1\n",
    ]
)


@pytest.mark.parametrize("name", FORMATS)
@settings(deadline=None)
@given(head=HEADS, rest=LINES)
def test_any_file_gives_rows_or_a_list_error(name, nothing, head, rest):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x_test_split1.txt"
        path.write_bytes(head + rest)
        (Path(folder) / "classInd.txt").write_bytes(b"1 A\n")
        source = Source(Path(folder) if name == "hmdb51" else path, nothing, PathOptions(root=nothing.root), 1)
        for read in (lambda: FORMATS[name].read(source), lambda: recognise(path)):
            try:
                found = read()
            except ListError:
                continue
            problems = found.problems if isinstance(found, Listing) else []
            assert all(problem.startswith(folder) for problem in problems)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a/clip_000044.mp4", "a/clip_000044"),
        ("mp4", "mp4"),
        (".mp4", ".mp4"),
        ("a/.mp4", "a/.mp4"),
        ("a.mp4/b", "a.mp4/b"),
        ("x.mp4.mp4", "x.mp4"),
        ("x.Mkv", "x"),
        ("v1.5", "v1.5"),
    ],
)
def test_only_a_known_ending_goes(path, expected):
    assert without_ending(path) == expected


def test_what_is_wrong_with_both_lists_is_named_together(tmp_path):
    dataset = Dataset(data_dir=str(tmp_path))
    (tmp_path / "training.txt").write_text("a 0\nb\n")
    (tmp_path / "validation.txt").write_text("c x\na 0\n")
    with pytest.raises(ListError) as error:
        listed_ids(dataset)
    assert [Path(problem.split(": ")[0]).name for problem in error.value.problems] == [
        "training.txt:2",
        "validation.txt:1",
    ]
    (tmp_path / "training.txt").write_text("a 0\nb 1\n")
    (tmp_path / "validation.txt").write_text("c 1\na 0\n")
    assert listed_ids(dataset) == ["a", "b", "c"]
