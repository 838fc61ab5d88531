"""tools/make_lists.py on lists of pieces of long files."""

import json

import pytest

from pipelines.dataset.list_file import read_list
from tests.pipelines.annotations.list_making import KINETICS, make_lists, put, refused, write

VGGSOUND = 'abcdefghijk,30,"dog, barking",train\nabcdefghijk,40,cat,train\nlmnopqrstuv,0,cat,test\n'
CHARADES = """id,subject,script,actions,length
AAAAA,X,"a, b",c092 11.90 21.20;c147 0.00 12.60,30
BBBBB,X,c,,30
"""
ACTIVITYNET = {
    "version": "1.3",
    "database": {
        "aaaaaaaaaaa": {"subset": "training", "annotations": [{"segment": [0.5, 9.25], "label": "Polo"}]},
        "bbbbbbbbbbb": {"subset": "validation", "annotations": [{"segment": [1, 2], "label": "Polo"}]},
        "ccccccccccc": {"subset": "testing", "annotations": []},
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


def test_activitynet(own_folder):
    write("anet.json", json.dumps(ACTIVITYNET))
    put("out/videos/v_aaaaaaaaaaa.mp4", "out/videos/bbbbbbbbbbb.mkv")
    assert make_lists("anet.json").returncode == 0
    assert pieces("training") == [("v_aaaaaaaaaaa", 0.5, 9.25, 0)]
    assert pieces("validation") == [("bbbbbbbbbbb", 1, 2, 0)]


def test_charades(own_folder):
    write("train.csv", CHARADES)
    write("test.csv", CHARADES.replace("AAAAA", "CCCCC"))
    put("out/videos/AAAAA.mp4", "out/videos/CCCCC.mp4")
    assert make_lists("train.csv", "test.csv").returncode == 0
    assert pieces("training") == [("AAAAA", 11.9, 21.2, 0), ("AAAAA", 0, 12.6, 1)]
    assert [file for file, *_ in pieces("validation")] == ["CCCCC", "CCCCC"]


def test_uncut_kinetics(own_folder):
    write("all.csv", KINETICS)
    put(*(f"out/videos/{name}.mp4" for name in ("-bcdefghijk", "zbcdefghij4", "ybcdefghijk", "xbcdefghijm")))
    assert make_lists("all.csv", "--format", "kinetics_uncut").returncode == 0
    assert pieces("training") == [("-bcdefghijk", 6, 16, 1), ("zbcdefghij4", 371, 381, 0)]


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


@pytest.mark.parametrize("times", ["c1 9 8", "c1 x 8", "c1 9"])
def test_mistakes_of_charades_are_named(own_folder, times):
    write("list.csv", f"id,actions\nAAAAA,{times}\n")
    put("out/videos/AAAAA.mp4")
    assert refused("list.csv")[0].startswith("list.csv:2: ")
