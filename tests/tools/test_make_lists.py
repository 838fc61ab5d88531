"""tools/make_lists.py as its users run it: what it draws, leaves out, keeps and writes."""

import json
import os

import pytest

from pipelines.dataset.list_file import read_list
from pipelines.dataset.load import load_clips
from tests.helpers.media import write_video
from tests.helpers.processes import ROOT, run
from tests.pipelines.annotations.list_making import KINETICS, made, make_lists, put, refused, write
from tsam_dali.config import load_config


def test_a_validation_list_is_drawn_where_there_is_none(own_folder):
    put(*(f"d/{name}/{i}.mp4" for name, count in (("a", 20), ("b", 10), ("c", 1)) for i in range(count)))
    first = made("d", "--fraction", "0.3", "--seed", "5")
    training, validation, _ = first
    assert not training.keys() & validation.keys()
    assert len(training | validation) == 31
    assert [list(validation.values()).count(label) for label in range(3)] == [6, 3, 0]
    assert made("d", "--fraction", "0.3", "--seed", "5", "--force") == first
    assert made("d", "--fraction", "0.3", "--seed", "6", "--force") != first
    done = make_lists("d", "--force")
    assert "1 class has a single clip, which goes to training" in done.stderr
    assert "6 of 31 clips were drawn for it, seed 0" in done.stderr
    assert "training: 25 clips, 1 (c) to 16 (a) per class" in done.stdout
    assert "validation: 6 clips, 0 (c) to 4 (a) per class" in done.stdout
    assert done.stdout.splitlines()[-1] == "next: precompute the audio, then train with --data out/data.json"
    counts = json.loads(make_lists("d", "--force", "--json").stdout)
    assert counts["clips"] == {"out/data.json": {"training": 25, "validation": 6}}
    assert (counts["classes"], counts["missing"], len(counts["warnings"])) == (3, 0, 2)
    put("e/a/1.mp4", "e/b/1.mp4")
    assert "no class has two clips" in refused("e", "--force")[0]
    assert "above 0 and at most 0.5" in make_lists("d", "--fraction", "0.6").stderr


def test_missing_clips_are_left_out_counted_and_named(own_folder):
    write("train.txt", "a.mp4 0\ngone.mp4 1\nc.mp4 2\nD.mp4 2\n")
    write("val.txt", "e.mp4 1\nf.mp4 2\n")
    put("out/videos/a.mp4", "out/videos/c.mp4", "out/videos/D.MP4", "out/videos/e.mp4", "out/videos/f.mp4")
    done = make_lists("train.txt", "val.txt")
    assert done.returncode == 0
    assert "missing: 2 clips without a file, left out; see out/missing.txt" in done.stdout
    assert "left out: 1 of 3 classes, for example '1': the others get new numbers" in done.stderr
    assert "1 validation clips are of those classes and are left out" in done.stderr
    assert "1 video has an ending in capitals, which is not recognised, for example D.MP4: rename them" in done.stderr
    with open("out/missing.txt") as file:
        assert file.read() == "gone\t1\ttraining\ttrain.txt:2\nD\t2\ttraining\ttrain.txt:4\n"
    put("out/videos/gone.mp4", "out/videos/D.mp4")
    training, validation, classes = made("train.txt", "val.txt", "--force")
    assert (training, validation, classes) == ({"a": 0, "gone": 1, "c": 2, "D": 2}, {"e": 1, "f": 2}, ())
    assert not os.path.exists("out/missing.txt")
    os.rename("out/videos", "elsewhere")
    os.mkdir("out/videos")
    problems = refused("train.txt", "val.txt", "--force")
    assert problems[0].startswith("none of the 4 training clips lies in out/videos; looked for 'a'")
    assert problems[1].startswith("none of the 2 validation clips")
    assert made("train.txt", "val.txt", "--force", "--keep_missing") == (training, validation, classes)
    assert (
        "6 clips without a file, kept in the lists"
        in make_lists("train.txt", "val.txt", "--force", "--keep_missing").stdout
    )


def test_repeats_count_once(own_folder):
    put("out/videos/a.mp4", "out/videos/b.mp4")
    write("train.txt", "a.mp4 0\nb.mp4 1\n./a.mp4 0\n")
    write("val.txt", "b.mp4 0\n")
    assert refused("train.txt", "val.txt") == ["val.txt:1: 'b' is of class '0', but train.txt:2 says '1'"]
    write("val.txt", "b.mp4 1\n")
    assert "1 line repeats a clip of the same list" in make_lists("train.txt", "val.txt").stderr
    assert [entry.id for entry in read_list("out/training.txt")] == ["a", "b"]


def test_what_is_there_is_kept_and_nothing_is_half_written(own_folder):
    put(*(f"d/{name}/{i}.mp4" for name in "ab" for i in range(2)))
    write("out/training.txt", "mine\n")
    write("out/missing.txt", "mine too\n")
    assert refused("d") == [
        "out/training.txt: exists already; --force replaces it",
        "out/missing.txt: exists already; --force replaces it",
    ]
    with open("out/training.txt") as file:
        assert file.read() == "mine\n"
    made("d", "--force")
    assert sorted(os.listdir("out")) == ["data.json", "training.txt", "validation.txt"]
    os.remove("out/training.txt")
    os.mkdir("out/training.txt")  # cannot be replaced by a file
    before = {name: os.stat(f"out/{name}").st_mtime_ns for name in os.listdir("out")}
    assert "cannot be written" in refused("d", "--force")[0]
    assert {name: os.stat(f"out/{name}").st_mtime_ns for name in os.listdir("out")} == before


def test_videos_with_endings_in_capitals_only(own_folder):
    put("d/a/1.MP4", "d/b/2.AVI")
    assert refused("d") == [
        "d: holds no clip; expected a folder of videos for each class; 2 videos have an ending in capitals: rename "
        "them (a/1.MP4)"
    ]
    write("list.txt", "a/1.MP4 0\nb/2.AVI 1\n")
    assert refused("list.txt", "--videos", "d")[0].endswith(
        "2 videos have an ending in capitals: rename them (a/1.MP4)"
    )


def test_paths_of_windows(own_folder):
    put("d/a/1.mp4", "d/a/2.mp4")
    write("list.txt", "a\\1.mp4 0\na\\2.mp4 0\n")
    problem = refused("list.txt", "--videos", "d", "--format", "paths")[0]
    assert problem.endswith("; a backslash is part of a name here and does not separate folders: write / instead")
    write("list.txt", "b/1.mp4 0\n")
    assert "backslash" not in refused("list.txt", "--videos", "d", "--format", "paths")[0]


def test_a_negative_seed(own_folder):
    put("d/a/1.mp4", "d/a/2.mp4")
    assert "--seed: expected a whole number from 0, got -1" in make_lists("d", "--seed", "-1").stderr


def test_ids_that_no_list_can_hold(own_folder):
    put("d/a/1.mp4", "d/a/2\n.mp4", "d/a/3 .mp4", "d/#b/4.mp4", "d/a/5.mp4")
    done = make_lists("d")
    assert done.returncode == 1
    listed = {entry.id for name in ("training", "validation") for entry in read_list(f"out/{name}.txt")}
    assert listed == {"a/1", "a/5"}
    problems = done.stderr.partition("left out, as no list can hold their names: 3 clips\n")[2].splitlines()
    assert len(problems) == 3
    assert any(
        "must not be empty, begin with # or begin or end with a space: '#b/4'" in problem for problem in problems
    )
    assert any("'a/3 '" in problem for problem in problems)
    assert any("control characters: 'a/2\\n'" in problem for problem in problems)


def test_folders_of_links_and_links_in_a_circle(own_folder):
    put("disk/a/1.mp4", "disk/a/2.mp4", "disk/b/3.mp4", "disk/b/4.mp4")
    os.makedirs("d/a")
    os.symlink(own_folder / "disk/b", "d/b")
    os.symlink(own_folder / "disk/a/1.mp4", "d/a/1.mp4")
    os.symlink(own_folder / "disk/a/2.mp4", "d/a/x.mp4")
    os.symlink(own_folder / "d", "d/a/again")
    training, validation, _ = made("d")
    assert training | validation == {"a/1": 0, "a/x": 0, "b/3": 1, "b/4": 1}


@pytest.mark.parametrize("videos", ["out/videos", "elsewhere/videos", "out"])
def test_the_data_file_can_be_trained_with(own_folder, videos):
    """Whether the videos lie inside the data folder or not; the videos stay as they are."""
    for name in ("a/1_000044", "a/2", "b/3", "b/4"):
        os.makedirs(os.path.dirname(f"{videos}/{name}"), exist_ok=True)
        write_video(f"{videos}/{name}.mp4", frames=4)
    before = {path: path.stat().st_mtime_ns for path in own_folder.rglob("*.mp4")}
    made(videos, "--fraction", "0.5", "--name", "mine", *(["--videos", "out"] if videos == "out" else []))
    assert {path: path.stat().st_mtime_ns for path in own_folder.rglob("*.mp4")} == before
    # In full, as the processes that read the headers keep the working directory of the test that started them.
    overrides = ["model.audio_segments=0", f"dataset.data_dir={own_folder / 'out'}"]
    config = load_config("out/data.json", "out/data.json", overrides)
    assert config.dataset.name == "mine"
    clips = load_clips(config)
    assert {clip.id: clip.frames for split in clips.values() for clip in split} == dict.fromkeys(
        ("a/1_000044", "a/2", "b/3", "b/4"), 4
    )


def test_a_data_folder_that_is_a_link(own_folder):
    put("store/deep/keep", *(f"d/{label}/{i}.mp4" for label in "ab" for i in range(2)))
    os.symlink("store/deep", "out")
    assert made("d")[2] == ("a", "b")
    assert os.path.samefile(load_config("out/data.json", "out/data.json").dataset.videos, "d")


def test_the_command_as_a_process(own_folder):
    write("all.csv", KINETICS)
    put(*(f"v/{name}.mp4" for name in ("zbcdefghij4_000371_000381", "ybcdefghijk_000000_000010")))
    command = (ROOT / "tools/make_lists.py", "all.csv", "--videos", "v", "--out", "out")
    done = run(*command, cwd=own_folder, fresh=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "out/data.json: 1 class",
        "training: 1 clip, 1 per class",
        "validation: 1 clip, 1 per class",
        "missing: 2 clips without a file, left out; see out/missing.txt",
        "next: precompute the audio, then train with --data out/data.json",
    ]
    assert "WARNING: left out: 1 clip of the split 'test'" in done.stderr
    again = run(*command, cwd=own_folder)
    assert again.returncode == 2
    assert again.stderr.splitlines()[0] == "error: out/training.txt: exists already; --force replaces it"


def test_help_says_what_it_does():
    shown = run("tools/make_lists.py", "--help")
    assert shown.returncode == 0
    for words in ("--fraction", "--keep_missing", "0.2)", "kinetics", "path n_frames label", "UCF-101"):
        assert words in shown.stdout
