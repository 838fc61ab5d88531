"""Running tools/make_lists.py, and the empty files that its tests need."""

import os

from pipelines.dataset.list_file import read_list
from tests.helpers.processes import called
from tools.make_lists import main
from tsam_dali.config import load_config

KINETICS = """label,youtube_id,time_start,time_end,split
"beta gamma",-bcdefghijk,6,16,train
alpha,zbcdefghij4,371,381,train
alpha,ybcdefghijk,0,10,validate
beta gamma,xbcdefghijm,1,11,validate
alpha,wbcdefghijk,0,10,test
"""


def put(*names):
    """Make files, with their folders; what is in them does not matter, as the clips are not opened."""
    for name in names:
        os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
        with open(name, "w"):
            pass


def write(name, text):
    put(name)
    with open(name, "w", encoding="utf-8") as file:
        file.write(text)


def make_lists(*arguments):
    return called(main, *arguments, "--out", "out")


def made(*arguments):
    """Run it; (training, validation, class names), each list as {id: label}."""
    done = make_lists(*arguments)
    assert done.returncode == 0, done.stderr
    dataset = load_config("out/data.json", "out/data.json").dataset
    lists = ({entry.id: entry.label for entry in read_list(dataset.list_file(s))} for s in ("training", "validation"))
    return *lists, dataset.class_names


def refused(*arguments):
    """Run it; the problems that it names. Nothing is written."""
    before = set(os.listdir("out")) if os.path.exists("out") else None
    done = make_lists(*arguments)
    assert done.returncode == 2
    assert (set(os.listdir("out")) if os.path.exists("out") else None) == before
    lines = done.stderr.splitlines()
    assert all(line.startswith("error: ") for line in lines), done.stderr
    return [line.removeprefix("error: ") for line in lines]
