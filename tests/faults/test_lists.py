"""Everything that can stand in a list: what is read, what is refused by file and line, what is a warning."""

import os
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.dataset.clips import Dataset
from pipelines.dataset.list_file import Entry, read_list
from pipelines.dataset.load import DataError, load_clips
from pipelines.dataset.media_files import find_videos
from pipelines.files.errors import ListError
from tests.helpers.media import write_video
from tests.pipelines.dataset.test_list_file import problems
from tsam_dali.config.load import config_from_dict

READ = {
    "spaces": (b"a  b c 1\n", Entry("a  b c", 1, 1)),
    "shell": (b"$(touch x);`id`|& 1\n", Entry("$(touch x);`id`|&", 1, 1)),
    "option": (b"-i 1\n", Entry("-i", 1, 1)),
    "ends in 4": (b"clip_000044 1\n", Entry("clip_000044", 1, 1)),
    "ends like a file": (b"clip.mp4 1\n", Entry("clip.mp4", 1, 1)),
    "blank": (b"\n \t\n\na 1\n\n", Entry("a", 1, 4)),
    "comments": (b"# one 1\n  # two 2\na 1\n", Entry("a", 1, 3)),
    "CRLF": (b"\r\na 1\r\n", Entry("a", 1, 2)),
    "BOM": (b"\xef\xbb\xbfa 1\n", Entry("a", 1, 1)),
    "no end of line": (b"a 1", Entry("a", 1, 1)),
    "not ASCII": ("é日本 1\n".encode(), Entry("é日本", 1, 1)),
}
REFUSED = {
    "negative": (b"a -1\n", "1: the label must be a whole number from 0, got '-1'"),
    "not an integer": (b"a 1.0\n", "1: the label must be a whole number from 0, got '1.0'"),
    "other digits": ("a ١\n".encode(), "1: the label must be a whole number from 0"),
    "huge": (b"a 99999999999999999999\n", "1: the label must be a whole number from 0"),
    "no label": (b"a\n", "1: expected `ID label`, got 'a'"),
    "another label": (b"a 0\nb 0\na 1\n", "3: 'a' has label 1, but line 1 gives it 0"),
    "parent": (b"../a 0\n", "1: the id leaves the data folder"),
    "parent inside": (b"a/../../b 0\n", "1: the id leaves the data folder"),
    "absolute": (b"/etc/a 0\n", "1: the id leaves the data folder"),
    "home": (b"~root/a 0\n", "1: the id leaves the data folder"),
    "NUL": (b"a\0b 0\n", "1: the id holds control characters"),
    "not UTF-8": (b"a 0\ncaf\xe9 1\n", "2: not UTF-8 text"),
    "UTF-16": ("a 0\n".encode("utf-16"), "1: UTF-16 text; save it as UTF-8"),
    "UTF-16 without a mark": ("a 0\n".encode("utf-16-le"), "1: UTF-16 text; save it as UTF-8"),
    "UTF-16, the other order": ("a 0\n".encode("utf-16-be"), "1: UTF-16 text; save it as UTF-8"),
    "odd space": ("a\u00a0b 0\n".encode(), "1: the id holds invisible characters or odd spaces"),
    "empty part": (b"a//b 0\n", "1: the id holds an empty part or '.': 'a//b'; write 'a/b'"),
    "this folder": (b"./a 0\n", "1: the id holds an empty part or '.': './a'; write 'a'"),
    "slash at the end": (b"a/ 0\n", "1: the id holds an empty part or '.': 'a/'; write 'a'"),
    "empty": (b"", " the list is empty"),
    "only comments": (b"# a 0\n\n", " the list is empty"),
}


@pytest.mark.parametrize("kind", READ)
def test_what_is_read(tmp_path, kind):
    content, entry = READ[kind]
    (tmp_path / "list.txt").write_bytes(content)
    assert read_list(tmp_path / "list.txt") == [entry]


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused(tmp_path, kind):
    content, problem = REFUSED[kind]
    path = tmp_path / "list.txt"
    path.write_bytes(content)
    assert problems(path)[0].startswith(problem)


def load(folder: Path) -> dict[str, list[str]]:
    config = config_from_dict({"dataset": {"data_dir": str(folder)}, "model": {"audio_segments": 0}})
    return {split: [clip.id for clip in clips] for split, clips in load_clips(config).items()}


def test_files_of_odd_names_are_found(tmp_path):
    """The ids of `READ`, with a file each: nothing in a name is cut off, replaced or run."""
    videos = tmp_path / "videos"
    videos.mkdir()
    video = write_video(tmp_path / "v.mp4", 3, (48, 64))
    ids = sorted({entry.id for _, entry in READ.values()})
    for clip_id in ids:
        os.link(video, videos / f"{clip_id}.mp4")
    (tmp_path / "training.txt").write_text("".join(f"{clip_id} {i}\n" for i, clip_id in enumerate(ids)))
    (tmp_path / "validation.txt").write_text(f"{ids[0]} 0\n")
    assert load(tmp_path)["training"] == ids
    assert len(os.listdir(videos)) == len(ids)


@pytest.mark.parametrize("source", ["video", "frames"])
def test_lines_of_three_columns_are_explained(tmp_path, source):
    for name in ("videos", "frames"):
        (tmp_path / name).mkdir()
    for name in ("training", "validation"):
        (tmp_path / f"{name}.txt").write_text("a.mp4 30 0\nb 0\n")
    sections = {"dataset": {"data_dir": str(tmp_path)}, "model": {"audio_segments": 0}, "pipeline": {"source": source}}
    with pytest.raises(DataError) as caught:
        load_clips(config_from_dict(sections))
    hinted = [problem for problem in caught.value.problems if "tools/make_lists.py converts it" in problem]
    assert hinted
    assert all("a.mp4 30" in problem for problem in hinted)


def test_a_huge_label_is_an_error_that_names_its_line(tmp_path):
    (tmp_path / "videos").mkdir()
    (tmp_path / "training.txt").write_text("a 0\nb 999999999\n")
    (tmp_path / "validation.txt").write_text("a 0\n")
    begin = time.process_time()
    with pytest.raises(DataError, match=r"labels run from 0 to 999999999 \(line 2\), but no clip has label 1, 2, "):
        load(tmp_path)
    assert time.process_time() - begin < 5


def test_gaps_and_repeats_in_lists(tmp_path, caplog):
    videos = tmp_path / "videos"
    videos.mkdir()
    video = write_video(tmp_path / "v.mp4", 3, (48, 64))
    for name in "abc":
        os.link(video, videos / f"{name}.mp4")
    (tmp_path / "training.txt").write_text("a 0\nb 1\na 0\n")
    (tmp_path / "validation.txt").write_text("c 1\n")
    assert load(tmp_path) == {"training": ["a", "b"], "validation": ["c"]}
    assert "training.txt: 1 line repeats a clip" in caplog.text
    (tmp_path / "training.txt").write_text("a 0\nb 3\n")
    with pytest.raises(DataError, match="no clip has label 1, 2; labels must be consecutive"):
        load(tmp_path)


CHARACTERS = st.text("ab4 ./~#$()`|;-\\\t\r\n\0é\u2028\ufeff", max_size=6)
WORDS = st.lists(CHARACTERS | st.sampled_from(["../", "..", "/", "./", "//", "a"]), max_size=6).map("".join)
LINES = st.tuples(WORDS, st.sampled_from([" ", "  ", "\t", ""]), st.sampled_from(["0", "1", "-1", "1.0", "", "x"]))
LISTS = st.lists(LINES.map("".join), max_size=6).map("\n".join).map(str.encode) | st.binary(max_size=80)


@settings(max_examples=1500, deadline=None)
@given(LISTS)
def test_no_list_leads_out_of_the_folder(content):
    """Thousands of lists: entries or a ListError of this file; every path that an id stands for lies in dir_videos."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        try:
            entries = read_list(file.name)
        except ListError as error:
            assert error.problems
            assert all(problem.startswith(f"{file.name}:") for problem in error.problems)
            return
    for entry in entries:
        path = os.path.normpath(os.path.join("/data/videos", f"{entry.id}.mp4"))
        assert path.startswith("/data/videos/")
        assert "\0" not in path
    files, missing = find_videos(Dataset(data_dir="/nonexistent"), [entry.id for entry in entries])
    assert not files
    assert len(missing) == len(entries)
