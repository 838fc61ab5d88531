"""Names that are there and are not found: Unicode's forms, and locales that are not UTF-8."""

import json
import os
import unicodedata

import pytest

from pipelines.dataset.audio_files import audio_file
from pipelines.dataset.clips import Dataset
from pipelines.dataset.frame_index import frame_facts
from pipelines.dataset.list_file import read_list
from pipelines.dataset.media_files import find_video, find_videos
from pipelines.files.errors import InputError
from pipelines.files.unicode_names import locale_hint, name_hint
from tests.helpers.audio_media import tone, write_clip
from tests.helpers.processes import run
from tsam_dali.cli.common import check_checkpoint
from tsam_dali.inference.inputs import find_inputs
from tsam_dali.inference.outputs import FILE, JsonLines
from tsam_dali.inference.results import Unreadable
from tsam_dali.weights.class_names import check_class_names

NFC, NFD = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))


@pytest.fixture(params=[(NFC, NFD), (NFD, NFC)], ids=["list NFC", "list NFD"])
def forms(request):
    """What is asked for, and what there is."""
    return request.param


def hinted(text: str, asked: str, there: str) -> bool:
    form = "NFC" if asked == NFC else "NFD"
    return ascii(there)[1:-1] in text and ascii(asked)[1:-1] in text and f"--{form.lower()}" in text


def test_videos_audio_frames_and_lists(tmp_path, forms):
    asked, there = forms
    dataset = Dataset(data_dir=str(tmp_path))
    for folder in ("videos", "audios", "frames", f"videos/{there}", f"frames/{there}"):
        (tmp_path / folder).mkdir()
    for name in (f"videos/{there}.mkv", f"videos/{there}/b.mp4", f"audios/{there}.wav", f"{there}.txt"):
        (tmp_path / name).touch()
    files, problems = find_videos(dataset, [asked, f"{asked}/b", "nothing", "東京"])
    assert not files
    assert [hinted(problem, asked, there) for problem in problems] == [True, True, False, False]
    for look in (
        lambda: find_video(dataset, asked),
        lambda: audio_file(dataset, asked, tmp_path / "videos/other.mp4"),  # whose audio would be taken in its place
        lambda: frame_facts(dataset, [asked], 1),
        lambda: read_list(tmp_path / f"{asked}.txt"),
        lambda: find_inputs([str(tmp_path / f"videos/{asked}.mkv")]),
    ):
        with pytest.raises(InputError) as caught:
            look()
        assert hinted(str(caught.value), asked, there)
    (tmp_path / f"audios/{asked}.wav").touch()
    assert audio_file(dataset, asked, None) == tmp_path / f"audios/{asked}.wav"


def test_checkpoints(tmp_path, forms):
    asked, there = forms
    (tmp_path / there).touch()
    with pytest.raises(ValueError, match="no such checkpoint") as caught:
        check_checkpoint(tmp_path / asked)
    assert hinted(str(caught.value), asked, there)


def test_class_names_in_two_forms_are_the_same(forms):
    check_class_names(["a", forms[0]], ["a", forms[1]])
    with pytest.raises(ValueError, match="label 1 is"):
        check_class_names(["a", NFC], ["a", "cafe"])


def test_nothing_is_said_where_no_name_is_alike(tmp_path):
    (tmp_path / "cafe").touch()
    assert name_hint(tmp_path / NFC) == name_hint(tmp_path / "nothing") == locale_hint("東京") == ""


@pytest.fixture
def ascii_locale(monkeypatch):
    """Names of files are ASCII for the processes that are started, and everything else is escaped."""
    for name, value in {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}.items():
        monkeypatch.setenv(name, value)


ONE_AFTER_ANOTHER = """
import json, runpy, sys
for sys.argv in json.loads(sys.argv[1]):
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as end:
        print("ends with", end.code, file=sys.stderr)
"""
"""Tools in one process: each would start an interpreter anew."""


def test_a_locale_that_is_not_utf8_gets_a_hint(tmp_path, ascii_locale):
    ids = ("a", "é", "東京")
    (tmp_path / "videos").mkdir()
    clip = write_clip(tmp_path / "videos/a.mp4", tone(500, 0.3, 16000))
    for clip_id in ids[1:]:
        os.link(clip, tmp_path / f"videos/{clip_id}.mp4")
    for split in ("training", "validation"):
        (tmp_path / f"{split}.txt").write_text("".join(f"{clip_id} 0\n" for clip_id in ids), encoding="utf-8")
    data = {"dataset": {"data_dir": str(tmp_path), "class_names": ["東京"]}}
    (tmp_path / "data.json").write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")
    arguments = ("--data", tmp_path / "data.json", "--workers", "1")
    hint = "this locale takes names of files as ascii, not as UTF-8: set PYTHONUTF8=1 or LC_ALL=C.UTF-8"
    commands = [
        ("precompute_audio", "--set", "data_augmentation.audio_image_param.n_mels=16"),
        ("make_training_copies", "--short_side", "16"),
        ("index_videos",),
        ("video2frames",),
    ]
    commands = [(f"tools/{tool}.py", *map(str, arguments), *options) for tool, *options in commands]
    done = run("-c", ONE_AFTER_ANOTHER, json.dumps(commands))
    *said, rest = done.stderr.split("ends with ")
    assert (len(said), rest, "Traceback" in done.stderr) == (4, "1\n", False), done.stderr
    for text in said:
        assert sum(hint in line for line in text.splitlines()) == 2, text
    assert [text.split()[0] for text in (*said[1:], rest)] == ["1", "1", "2", "1"]
    assert [path.name for path in (tmp_path / "mels").glob("*.safetensors")] == ["a.safetensors"]
    assert os.listdir(tmp_path / "frames") == ["a"]
    (tmp_path / "sorted/x").mkdir(parents=True)
    for clip_id in (*ids, "b"):
        os.link(clip, tmp_path / f"sorted/x/{clip_id}.mp4")
    made = run("tools/make_lists.py", tmp_path / "sorted", "--out", tmp_path / "out")
    assert made.returncode == 1
    assert "left out, as no list can hold their names: 2 clips" in made.stderr
    assert made.stderr.count(hint) == 2
    missing = run("tools/index_videos.py", "--data", tmp_path / "é.json")
    assert missing.returncode == 2
    assert missing.stderr.startswith("error: ")


def test_lines_of_json_are_json_whatever_the_terminal_shows(tmp_path):
    path = str(tmp_path / "\U0001f600 é\udce9.mp4")
    for encoding in ("ascii", "latin-1", "utf-8"):
        with (tmp_path / encoding).open("w", encoding=encoding, errors="backslashreplace") as file:
            JsonLines(file, FILE).write(Unreadable(path=path, error="東京"))
        line = (tmp_path / encoding).read_text(encoding=encoding)
        assert json.loads(line) == {"path": path, "error": "東京"}
