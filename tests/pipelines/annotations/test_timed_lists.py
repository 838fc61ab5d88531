"""tools/make_lists.py on lists of pieces of long files."""

import json

import pytest

from pipelines.dataset.list_file import read_entries, read_list
from pipelines.dataset.targets import Labels
from tests.pipelines.annotations.list_making import KINETICS, make_lists, put, refused, write
from tsam_dali.config import load_config

VGGSOUND = 'abcdefghijk,30,"dog, barking",train\nabcdefghijk,40,cat,train\nlmnopqrstuv,0,cat,test\n'
CHARADES = """id,subject,script,actions,length
AAAAA,X,"a, b",c092 11.90 21.20;c147 0.00 12.60;c016 0 12.60,30
BBBBB,X,c,,30
"""
ACTIVITYNET = {
    "version": "1.3",
    "database": {
        "aaaaaaaaaaa": {"subset": "training", "annotations": [{"segment": [1e-05, 9.25], "label": "Polo"}]},
        "bbbbbbbbbbb": {"subset": "validation", "annotations": [{"segment": [1, 2], "label": "Polo"}]},
        "ccccccccccc": {"subset": "testing", "annotations": []},
        "ddddddddddd": {"subset": "training", "annotations": []},
    },
}


def pieces(split):
    return [(entry.file, entry.start, entry.end, entry.label) for entry in read_list(f"out/{split}.txt")]


def test_vggsound(own_folder):
    write("vggsound.csv", VGGSOUND)
    put("out/videos/abcdefghijk.mp4", "out/videos/lmnopqrstuv.mp4")
    assert make_lists("vggsound.csv").returncode == 0
    assert pieces("training") == [("abcdefghijk", 30, 40, 1), ("abcdefghijk", 40, 50, 0)]
    assert pieces("validation") == [("lmnopqrstuv", 0, 10, 0)]
    with open("out/training.txt") as file:
        assert file.readline() == "id start end label\n"


def test_vggsound_with_a_header_and_decimals(own_folder):
    write("vggsound.csv", "youtube_id,start_seconds,label,split\n" + VGGSOUND.replace(",30,", ",30.0,"))
    put("out/videos/abcdefghijk.mp4", "out/videos/lmnopqrstuv.mp4")
    assert make_lists("vggsound.csv").returncode == 0
    assert pieces("training") == [("abcdefghijk", 30, 40, 1), ("abcdefghijk", 40, 50, 0)]


def test_activitynet(own_folder):
    write("anet.json", json.dumps(ACTIVITYNET))
    put("out/videos/v_aaaaaaaaaaa.mp4", "out/videos/bbbbbbbbbbb.mkv")
    done = make_lists("anet.json")
    assert done.returncode == 0, done.stderr
    assert "anet.json: 1 video has no piece and is left out, for example ddddddddddd" in done.stderr
    assert pieces("training") == [("v_aaaaaaaaaaa", 0.00001, 9.25, 0)]
    assert pieces("validation") == [("bbbbbbbbbbb", 1, 2, 0)]
    assert "no validation list" not in done.stderr


@pytest.fixture
def charades(own_folder):
    write("train.csv", CHARADES)
    put("out/videos/AAAAA.mp4", "out/videos/CCCCC.mp4")


CHARADES_NAMES = "c016 Holding a book, or two\nc092 Watching outside\nc147 Cooking\n"


@pytest.mark.parametrize("names", ["", "Charades_v1_classes.txt", "names.txt"])
def test_charades(charades, names):
    write("test.csv", "id,actions\nCCCCC,c147 1 2;c092 3 4\n")
    if names:
        write(names, CHARADES_NAMES)
    done = make_lists("train.csv", "test.csv", *(["--classes", names] if names == "names.txt" else []))
    assert done.returncode == 0, done.stderr
    assert "train.csv: 1 video has no piece and is left out, for example BBBBB" in done.stderr
    targets = {
        split: [(start, end, target) for _, start, end, target in labels_of(split)]
        for split in ("training", "validation")
    }
    assert targets == {
        "training": [(11.9, 21.2, "1"), (0, 12.6, "0,2")],  # at the same times: one piece
        "validation": [(1, 2, "2"), (3, 4, "1")],
    }
    dataset = load_config("out/data.json", "out/data.json").dataset
    assert dataset.task == "labels"
    named = ("Holding a book, or two", "Watching outside", "Cooking")
    assert dataset.class_names == (named if names else ("c016", "c092", "c147"))


def test_actions_of_charades_at_other_times_or_in_other_videos_are_other_pieces(charades):
    write("train.csv", "ID,Actions\nAAAAA,c147 0 12.6;c016 0 9;c092 5 9\nCCCCC,c016 0 12.6\n")
    write("test.csv", "id,actions\nCCCCC,c147 1 2;c016 1 2;c092 1 3\n")
    assert make_lists("train.csv", "test.csv").returncode == 0
    assert labels_of("training") == [
        ("AAAAA", 0, 12.6, "2"),
        ("AAAAA", 0, 9, "0"),
        ("AAAAA", 5, 9, "1"),
        ("CCCCC", 0, 12.6, "0"),
    ]
    assert labels_of("validation") == [("CCCCC", 1, 2, "0,2"), ("CCCCC", 1, 3, "1")]


def test_charades_without_a_name(charades):
    write("Charades_v1_classes.txt", CHARADES_NAMES.replace("c016", "c017"))
    done = make_lists("train.csv")
    assert done.returncode == 2
    assert "error: train.csv:2: Charades_v1_classes.txt has no label 'c016'" in done.stderr


def test_uncut_kinetics(own_folder):
    write("all.csv", KINETICS)
    put(*(f"out/videos/{name}.mp4" for name in ("-bcdefghijk", "zbcdefghij4", "ybcdefghijk", "xbcdefghijm")))
    assert refused("all.csv")[0].endswith("; of whole videos --format kinetics_uncut lists the pieces")
    done = make_lists("all.csv", "--format", "kinetics_uncut")
    assert done.returncode == 0, done.stderr
    assert "left out: 1 clip of the split 'test'" in done.stderr
    assert pieces("training") == [("-bcdefghijk", 6, 16, 1), ("zbcdefghij4", 371, 381, 0)]
    assert pieces("validation") == [("ybcdefghijk", 0, 10, 0), ("xbcdefghijm", 1, 11, 1)]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("abcdefghijk,x,cat,train\n", "list.csv:1: expected `youtube_id,start,label,train` or `test`"),
        ("abcdefghijk,30,train\n", "list.csv:1: expected `youtube_id,start,label,train` or `test`"),
    ],
)
def test_mistakes_of_vggsound_are_named(own_folder, text, problem):
    write("list.csv", text)
    put("out/videos/a.mp4")
    assert refused("list.csv", "--format", "vggsound")[0].startswith(problem)


@pytest.mark.parametrize("times", ["c1 9 8", "c1 9 9.0", "c1 x 8", "c1 9"])
def test_mistakes_of_charades_are_named(own_folder, times):
    write("list.csv", f"id,actions\nAAAAA,{times}\n")
    put("out/videos/AAAAA.mp4")
    assert refused("list.csv")[0].startswith("list.csv:2: ")


AUDIOSET = """# Segments csv created Sun Mar  5 10:54:25 2017
# num_ytids=3, num_segs=3, num_unique_labels=3, num_positive_labels=4
# YTID, start_seconds, end_seconds, positive_labels
--PJHxphWEs, 30.000, 40.000, "/m/09x0r,/t/dd00088"
--ZhevVpy1s, 0.000, 9.500, "/m/09x0r"
-0BIyqJj9ZU, 50.000, 60.000, "/m/012xff"
"""
NAMES = """index,mid,display_name
0,/m/09x0r,"Speech"
1,/m/05zppz,"Male speech, man speaking"
2,/t/dd00088,"Gush"
3,/m/012xff,"Toothbrush"
"""


@pytest.fixture
def audioset(own_folder):
    write("segments.csv", AUDIOSET)
    put(*(f"out/videos/{name}.mp4" for name in ("--PJHxphWEs", "a/--ZhevVpy1s", "-0BIyqJj9ZU", "-0FHUc78Gqo")))


def labels_of(split):
    entries = read_entries(f"out/{split}.txt", Labels(("",) * 4))
    return [(entry.file, entry.start, entry.end, entry.target) for entry in entries]


@pytest.mark.parametrize("classes", [[], ["--classes", "names.csv"]])
def test_audioset(audioset, classes):
    write(classes[-1] if classes else "class_labels_indices.csv", NAMES)
    write("eval.csv", '# comment\n-0FHUc78Gqo, 30, 40, "/t/dd00088"\n')
    done = make_lists("segments.csv", "eval.csv", *classes)
    assert done.returncode == 0, done.stderr
    assert labels_of("training") == [
        ("--PJHxphWEs", 30, 40, "0,2"),
        ("a/--ZhevVpy1s", 0, 9.5, "0"),
        ("-0BIyqJj9ZU", 50, 60, "3"),
    ]
    assert labels_of("validation") == [("-0FHUc78Gqo", 30, 40, "2")]
    dataset = load_config("out/data.json", "out/data.json").dataset
    assert dataset.task == "labels"
    assert dataset.class_names == ("Speech", "Male speech, man speaking", "Gush", "Toothbrush")
    assert "1 label has no training clip, for example 'Male speech, man speaking'" in done.stderr
    assert "out/data.json: 4 labels" in done.stdout


def test_audioset_with_a_header(audioset):
    """As some copies have it."""
    write("segments.csv", "YTID,start_seconds,end_seconds,positive_labels\n" + "".join(AUDIOSET.splitlines(True)[3:]))
    assert make_lists("segments.csv").returncode == 0
    assert len(labels_of("training")) + len(labels_of("validation")) == 3


def test_a_line_of_audioset_with_its_labels_in_another_order_repeats_the_piece(audioset):
    write("segments.csv", f'{AUDIOSET}--PJHxphWEs, 30, 40, "/t/dd00088,/m/09x0r"\n')
    done = make_lists("segments.csv")
    assert "1 line repeats a clip of the same list with the same class: it is listed once" in done.stderr


def test_audioset_without_names(audioset):
    done = make_lists("segments.csv")
    assert done.returncode == 0, done.stderr
    assert "no class_labels_indices.csv beside it, labels go by their ids" in done.stderr
    dataset = load_config("out/data.json", "out/data.json").dataset
    assert dataset.class_names == ("/m/012xff", "/m/09x0r", "/t/dd00088")
    assert len(labels_of("validation")) == 1
    assert {target for *_, target in labels_of("training")} == {"0", "1,2"}  # of each label one stays


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("--PJHxphWEs, 30.000, /m/09x0r", 'segments.csv:7: expected `YTID, start, end, "/m/09x0r,/t/dd00088"`'),
        ('--PJHxphWEs, 50, 60, "/m/09x0r,,"', 'segments.csv:7: expected `YTID, start, end, "/m/09x0r,/t/dd00088"`'),
        ('--PJHxphWEs, 50, 60, ""', 'segments.csv:7: expected `YTID, start, end, "/m/09x0r,/t/dd00088"`'),
        ('--PJHxphWEs, 60, 50, "/m/09x0r"', "segments.csv:7: the end, 50 s, must lie behind the start, 60 s"),
        ('--PJHxphWEs, x, 50, "/m/09x0r"', "segments.csv:7: expected an id, a label and two times in seconds"),
        ('--PJHxphWEs, 50, 60, "/m/none"', "segments.csv:7: class_labels_indices.csv has no label '/m/none'"),
        ('--PJHxphWEs, 30, 40, "/m/09x0r"', "segments.csv:7: '--PJHxphWEs 30 40' is of class 'Speech', but"),
    ],
)
def test_mistakes_of_audioset_are_named(audioset, line, problem):
    write("class_labels_indices.csv", NAMES)
    write("segments.csv", f"{AUDIOSET}{line}\n")
    assert refused("segments.csv")[0].startswith(problem)


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        ("0,/m/a,A\n2,/m/b,B\n", "class_labels_indices.csv: expected the numbers 0, 1, 2, ... without gaps"),
        ("0,/m/a,A\n0,/m/b,B\n", "class_labels_indices.csv:3: the number 0 is listed twice"),
        ("0,/m/a,A\n1,/m/a,B\n", "class_labels_indices.csv: a label is listed twice"),
        ("0,/m/a\n", "class_labels_indices.csv:2: expected `index,mid,display_name`, got '0,/m/a'"),
    ],
)
def test_mistakes_of_the_names_of_audioset_are_named(audioset, names, problem):
    write("class_labels_indices.csv", f"index,mid,display_name\n{names}")
    assert problem in refused("segments.csv")


def test_pieces_of_a_file_are_drawn_for_the_same_list(own_folder):
    rows = [f"video_{i % 5}____,{10 * i},{'ab'[i // 5 % 2]},train" for i in range(40)]
    write("vggsound.csv", "\n".join(rows))
    put(*(f"out/videos/video_{i}____.mp4" for i in range(5)))
    done = make_lists("vggsound.csv")
    assert "8 of 40 clips were drawn for it, seed 0, with all pieces of a file in one list" in done.stderr
    files = [{file for file, *_ in pieces(split)} for split in ("training", "validation")]
    assert [len(some) for some in files] == [4, 1]
    assert not files[0] & files[1]
