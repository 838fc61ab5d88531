"""tools/make_lists.py on every format of lists that it knows."""

import json
import os

import pytest

from tests.pipelines.annotations.list_making import KINETICS, made, make_lists, put, refused, write
from tsam_dali.config import load_config

CLASSES = ("alpha", "beta gamma")


@pytest.mark.parametrize("layout", ["{name}", "{label}/{name}", "{under}/{name}", "train/{under}/{name}"])
def test_kinetics(own_folder, layout):
    write("all.csv", KINETICS.replace(",371,381,", ",371.0,381.0,"))
    clips = [
        ("-bcdefghijk_000006_000016", "beta gamma"),
        ("zbcdefghij4_000371_000381", "alpha"),
        ("ybcdefghijk_000000_000010", "alpha"),
        ("xbcdefghijm_000001_000011", "beta gamma"),
    ]
    ids = [layout.format(name=name, label=label, under=label.replace(" ", "_")) for name, label in clips]
    put(*(f"out/videos/{clip_id}.mp4" for clip_id in ids))
    assert made("all.csv") == ({ids[0]: 1, ids[1]: 0}, {ids[2]: 0, ids[3]: 1}, CLASSES)
    assert "left out: 1 clip of the split 'test'" in make_lists("all.csv", "--force").stderr


def test_kinetics_with_quotes_around_all_fields(own_folder):
    write(
        "all.csv",
        '"label","youtube_id","time_start","time_end","split"\n"a","x","0","9","train"\n"a","y","0","9","val"\n',
    )
    put("out/videos/x_000000_000009.mp4", "out/videos/y_000000_000009.mp4")
    assert made("all.csv") == ({"x_000000_000009": 0}, {"y_000000_000009": 0}, ("a",))


def test_kinetics_in_two_files_with_classes_in_an_order_of_their_own(own_folder):
    header, b, a, va, vb, _ = KINETICS.splitlines(keepends=True)
    write("train.csv", header + b + a)
    write("test.csv", header + va.replace("validate", "test") + vb.replace("validate", "test"))
    write("classes.txt", "beta_gamma\nalpha\n")
    names = ("-bcdefghijk_000006_000016", "zbcdefghij4_000371_000381")
    names += ("ybcdefghijk_000000_000010", "xbcdefghijm_000001_000011")
    put(*(f"elsewhere/deep/{name}.mp4" for name in names))
    training, validation, classes = made("train.csv", "test.csv", "--videos", "elsewhere", "--classes", "classes.txt")
    assert training == {f"deep/{names[0]}": 0, f"deep/{names[1]}": 1}
    assert validation == {f"deep/{names[2]}": 1, f"deep/{names[3]}": 0}
    assert classes == ("beta_gamma", "alpha")


def test_kinetics_of_one_name_in_several_folders(own_folder):
    write("all.csv", KINETICS)
    name = "zbcdefghij4_000371_000381.mp4"
    others = ("-bcdefghijk_000006_000016", "ybcdefghijk_000000_000010", "xbcdefghijm_000001_000011")
    put(f"v/alpha/{name}", f"v/beta_gamma/{name}", *(f"v/{other}.mp4" for other in others))
    assert made("all.csv", "--videos", "v")[0]["alpha/zbcdefghij4_000371_000381"] == 0  # the folder of its class
    os.rename("v/alpha", "v/other")
    (problem,) = refused("all.csv", "--videos", "v")
    assert problem.startswith("all.csv:3: 'zbcdefghij4_000371_000381' lies in several places: beta_gamma/zbc")


def test_kinetics_mistakes_are_named_at_once(own_folder):
    put("out/videos/a_000000_000010.mp4")
    head = "label,youtube_id,time_start,time_end,split\n"
    write(
        "bad.csv",
        head + 'alpha,a,0,10,train\nalpha,b,0.5,10,train\n,c,0,1,train\n"alpha,d,0,1,train\nalpha,../e,0,1,train\n',
    )
    problems = refused("bad.csv")
    assert problems[:2] == [
        "bad.csv:3: expected a label, an id and two times in whole seconds, got 'alpha,b,0.5,10,train'",
        "bad.csv:4: expected a label, an id and two times in whole seconds, got ',c,0,1,train'",
    ]
    assert problems[2].startswith("bad.csv:5: not a line of a csv file (")
    assert problems[3] == "bad.csv:6: the id leaves the data folder: '../e_000000_000001'"
    write("test.csv", "youtube_id,time_start,time_end,split\na,0,10,test\n")
    assert refused("test.csv") == ["test.csv:1: no column label; the first line must name the columns"]


def test_something_v1_as_frames(own_folder):
    write("train.csv", "1;Tearing something, just a bit\n20;Poking (a) hole\n")
    write("validation.csv", "3;Poking (a) hole\n")
    put(*(f"frames/{clip}/img_{i:04d}.png" for clip in (1, 20, 3) for i in (1, 2)), "frames/1/flow_x_00001.jpg")
    training, validation, classes = made("train.csv", "validation.csv", "--frames", "frames")
    assert (training, validation) == ({"1": 1, "20": 0}, {"3": 0})
    assert classes == ("Poking (a) hole", "Tearing something, just a bit")
    dataset = load_config("out/data.json", "out/data.json").dataset
    assert os.path.samefile(dataset.frames, "frames")
    assert dataset.frames_tmpl == "img_{:04d}.png"
    write("labels.csv", "Tearing something, just a bit\nPoking (a) hole\n")
    reverse = made("train.csv", "validation.csv", "--frames", "frames", "--classes", "labels.csv", "--force")
    assert reverse[:2] == ({"1": 0, "20": 1}, {"3": 1})
    write("test.csv", "1;a\n7\n")
    (problem,) = refused("test.csv", "--format", "something_v1", "--frames", "frames")
    assert problem == "test.csv:2: expected `id;label`, got '7' (lists of the test set have no labels)"


def test_something_v2(own_folder):
    def items(*pairs):
        return json.dumps([{"id": i, "label": "x", "template": t, "placeholders": ["x"]} for i, t in pairs])

    write("train.json", items(("7", "Moving [something] up"), (8, "Holding [something]")))
    write("validation.json", items(("9", "Holding [something]")))
    write("labels.json", json.dumps({"Holding something": "1", "Moving something up": "0"}))
    put(*(f"videos/{i}.webm" for i in (7, 8, 9)))
    lists = made("train.json", "validation.json", "--classes", "labels.json", "--videos", "videos")
    assert lists == ({"7": 0, "8": 1}, {"9": 1}, ("Moving something up", "Holding something"))
    write("test.json", json.dumps([{"id": "7"}, 3]))
    first, second = refused("train.json", "test.json", "--videos", "videos")
    assert first.startswith('test.json: entry 1: expected an object with id and template, got {"id": "7"}')
    assert "got 3" in second
    write("bad.json", "[" * 100_000)
    assert refused("bad.json", "--videos", "videos")[0].startswith("bad.json: not a JSON file")
    write("bad.json", "{}")
    assert "expected a list of objects" in refused("bad.json", "--videos", "videos")[0]


@pytest.mark.parametrize("flat", [False, True])
def test_ucf101(own_folder, flat):
    write("lists/classInd.txt", "1 Apply\r\n2 Zoo\r\n3 Beta\r\n")
    write("lists/trainlist01.txt", "Apply/v_Apply_g08.avi 1\r\nZoo/v_Zoo_g4.avi 2\nBeta/v_Beta_m.avi 3\n")
    write("lists/testlist01.txt", "Zoo/v_Zoo_g5.avi\r\n")
    names = ("Apply/v_Apply_g08", "Zoo/v_Zoo_g4", "Beta/v_Beta_m", "Zoo/v_Zoo_g5")
    ids = [name.rpartition("/")[2] if flat else name for name in names]
    put(*(f"UCF-101/{clip_id}.avi" for clip_id in ids))
    expected = {ids[0]: 0, ids[1]: 1, ids[2]: 2}, {ids[3]: 1}, ("Apply", "Zoo", "Beta")
    assert made("lists", "--videos", "UCF-101") == expected
    assert made("lists/trainlist01.txt", "lists/testlist01.txt", "--videos", "UCF-101", "--force") == expected
    write("lists/trainlist01.txt", "Apply/v_Apply_g08.avi 0\nZoo/v_Zoo_g4.avi 3\nno folder.avi 1\n")
    assert [problem.split(" (")[0] for problem in refused("lists", "--videos", "UCF-101")] == [
        "lists/trainlist01.txt:1: classInd.txt does not give 'Apply' the number 0",
        "lists/trainlist01.txt:2: classInd.txt does not give 'Zoo' the number 3",
        "lists/trainlist01.txt:3: expected `Class/file.avi number`, got 'no folder.avi 1'",
    ]
    assert "trainlist02.txt: cannot be read" in refused("lists", "--videos", "UCF-101", "--fold", "2")[0]


def test_hmdb51(own_folder):
    write("splits/brush_hair_test_split2.txt", "#1 a [x].avi 1 \nb.avi 2 \nc.avi 0 \n")
    write("splits/wave_test_split2.txt", "d.avi 1 \ne.avi 2 \n")
    write("splits/wave_test_split1.txt", "d.avi 7 \n")
    put(*(f"v/{name}.avi" for name in ("brush_hair/#1 a [x]", "brush_hair/b", "brush_hair/c", "wave/d", "wave/e")))
    training, validation, classes = made("splits", "--fold", "2", "--videos", "v")
    assert training == {"brush_hair/#1 a [x]": 0, "wave/d": 1}
    assert validation == {"brush_hair/b": 0, "wave/e": 1}
    assert classes == ("brush_hair", "wave")
    assert refused("splits", "--videos", "v")[0].startswith("splits/wave_test_split1.txt:1: expected `file.avi code`")
    assert "no clip in files named *_test_split3.txt" in refused("splits", "--videos", "v", "--fold", "3")[0]
