"""All folds by one command: stopped within a fold and continued, not trained twice, mean and spread of their scores."""

import json
import os
import re
import signal
import statistics
import subprocess
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipelines.dataset.list_file import read_list
from tests.helpers.forks.popen import Forked
from tests.helpers.processes import ROOT, called, run
from tests.tsam_dali.runs.test_train import epochs, status
from tools import make_lists
from tsam_dali.cli.common import EXAMPLE_CONFIG
from tsam_dali.runs import folds

# Three starts of the trainer, on a machine that may be busy.
pytestmark = [pytest.mark.ci, pytest.mark.timeout(600)]
SMALL = (
    *(
        "training_param.batch_size=8",
        "training_param.epochs=2",
        "training_param.sampling=balanced",
        "pipeline.workers=0",
    ),
    *("model.video_segments=2", "model.audio_segments=0", "data_augmentation.video_image_param.output_size=32"),
    "training_param.save_every_steps=1",
)


@pytest.fixture(scope="module")
def data(example, tmp_path_factory):
    """Data files of two folds of the example's clips."""
    out = tmp_path_factory.mktemp("folds") / "data"
    lists = (example / "training.txt", example / "validation.txt", "--videos", example / "videos")
    done = called(make_lists.main, *lists, "--folds", 2, "--out", out)
    assert done.returncode == 0, done.stderr
    return [out / "fold_1/data.json", out / "fold_2/data.json"]


@pytest.fixture(scope="module")
def command(data, tmp_path_factory):
    """The arguments of the command."""
    results = tmp_path_factory.mktemp("results")
    changes = [word for change in (*SMALL, f"results_folder={results}") for word in ("--set", change)]

    def command(*arguments, files=data):
        config = ("--config", ROOT / EXAMPLE_CONFIG)
        return list(map(str, ("--data", *files, *config, *changes, "--run_id", "cv", *arguments)))

    command.results, command.changes = results, changes
    return command


def forked(words, preexec_fn, **options):
    """A training as a process; without the seconds of a fresh one."""
    return Forked(words, **options)


@pytest.fixture(scope="module")
def done(command):
    """The command stopped in the second fold, then again to its end: what it said at the end."""
    second, ends = command.results / "cv_fold_2", time.monotonic() + 120

    def stop():
        while time.monotonic() < ends and not ((second / "status.json").exists() and status(second)["step"] >= 1):
            time.sleep(0.005)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folds, "subprocess", SimpleNamespace(Popen=forked, PIPE=subprocess.PIPE))
        threading.Thread(target=stop).start()
        stopped = called(folds.main, *command("--device", "cpu"))
    assert stopped.returncode == 75, stopped.stderr
    assert "fold_2 stopped; the same command goes on with it" in stopped.stderr
    assert [status(command.results / f"cv_fold_{i}")["state"] for i in (1, 2)] == ["finished", "preempted"]
    assert not (command.results / "cv_folds.json").exists()
    began = (command.results / "cv_fold_1/args.json").stat().st_mtime_ns
    shown = called(folds.main, *command("--device", "cpu"))
    assert shown.returncode == 0, shown.stderr
    assert (command.results / "cv_fold_1/args.json").stat().st_mtime_ns == began
    return shown


def test_stopped_and_continued(command, done):
    assert "fold_1 (1 of 2) is finished" in done.stderr
    for number in (1, 2):
        assert status(command.results / f"cv_fold_{number}")["state"] == "finished"
        assert [record["epoch"] for record in epochs(command.results / f"cv_fold_{number}")] == [0, 1]


def test_mean_and_spread(command, done):
    last = [epochs(command.results / f"cv_fold_{number}")[-1]["validation"] for number in (1, 2)]
    found = json.loads((command.results / "cv_folds.json").read_text())
    for name in ("loss", "accuracy", "balanced_accuracy"):
        values = [scores[name] for scores in last]
        assert [found["folds"][f"fold_{number}"][name] for number in (1, 2)] == values
        assert found["mean"][name] == pytest.approx(statistics.mean(values))
        assert found["spread"][name] == pytest.approx(statistics.stdev(values))
    head, *rows, file = done.stdout.splitlines()
    assert re.split(r"\s\s+", head.strip()) == [
        *("clips", "loss", "accuracy", "balanced accuracy", "best balanced", "best unbalanced")
    ]
    assert [row.split()[0] for row in rows] == ["fold_1", "fold_2", "mean", "spread"]
    assert rows[0].split()[1:4] == [str(last[0]["samples"]), f"{last[0]['loss']:.3f}", f"{last[0]['accuracy']:.3f}"]
    assert rows[2].split()[2] == f"{found['mean']['accuracy']:.3f}"
    assert len({len(line) for line in (head, *rows)}) == 1
    assert file == f"table: {command.results / 'cv_folds.json'}"


def test_what_is_finished_is_not_trained_again(command, data, done, monkeypatch):
    """Unless settings or lists may be others than those of its run; then the trainer has to say."""
    started = []
    monkeypatch.setattr(folds.Child, "run", lambda self, words: started.append(words) or 0)
    shown = called(folds.main, *command())
    assert not started
    assert shown.stdout == done.stdout
    called(folds.main, *command("--set", "training_param.epochs=3"))
    assert [words[words.index("--run_id") + 1] for words in started] == ["cv_fold_1", "cv_fold_2"]
    started.clear()
    os.utime(data[1].with_name("training.txt"))
    called(folds.main, *command("--fine_tune", "x", "--nproc_per_node", "2"))
    (words,) = started
    assert words[1:8] == [
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node",
        "2",
        "-m",
        "tsam_dali.train",
    ]
    assert words[words.index("--run_id") + 1 :] == ["cv_fold_2", "--resume", "auto", "--fine_tune", "x"]


def test_a_fold_that_fails_ends_the_command(command, done, monkeypatch):
    started = []
    monkeypatch.setattr(folds.Child, "run", lambda self, words: started.append(words) or 2)
    shown = called(folds.main, *command("--set", "training_param.epochs=3"))
    assert shown.returncode == 2
    assert len(started) == 1
    assert "fold_1 failed; the same command goes on with it" in shown.stderr


def test_problems_of_all_folds_are_named_before_the_first_is_trained(command, data, tmp_path):
    """A class that no training clip of a fold has, and a fold with fewer classes."""
    files = [tmp_path / name / "data.json" for name in ("gap", "few", "whole")]
    ids = data[0].with_name("training.txt").read_text().split()[::2]
    for file, labels in zip(files, ([0, 2], [0], [0, 1]), strict=True):
        file.parent.mkdir()
        lists = {key: str(file.with_name(f"{key}.txt")) for key in ("file_train_list", "file_val_list")}
        for path in lists.values():
            with open(path, "w") as text:
                text.writelines(f"{clip} {label}\n" for clip, label in zip(ids, labels, strict=False))
        file.write_text(json.dumps({"dataset": json.loads(data[0].read_text())["dataset"] | lists}))
    shown = called(folds.main, *command("--run_id", "bad", files=files))
    assert shown.returncode == 2
    gap, classes = (line for line in shown.stderr.splitlines() if line.startswith("error: "))
    assert re.match(r"error: gap: training list: labels run from 0 to 2 .* but no clip has label 1", gap)
    assert classes == "error: the folds have different numbers of classes: few 1, whole 2"
    assert not (command.results / "bad_gap").exists()


def test_wrong_arguments(command, data, monkeypatch):
    for arguments, said in (
        (command(files=data[:1]), "--data: expected the data files of at least two folds"),
        (command("--validate", "x"), "unknown option --validate; passed on to tsam_dali.train are --fine_tune"),
        (command(files=[data[0], data[0]]), "neither folders nor files differ in their names"),
        (command("--run_id", "../x"), "expected the name of a folder inside results_folder"),
    ):
        shown = called(folds.main, *arguments)
        assert shown.returncode == 2
        assert said in shown.stderr
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "leave out torchrun: --nproc_per_node is" in called(folds.main, *command()).stderr
    assert folds.names_of(["a/1.json", "a/2.json"]) == ["1", "2"]


@pytest.mark.slow
def test_folds_on_two_ranks(command):
    """Started by torchrun, twice: the clips of each fold are shared by the ranks, and each counts once."""
    arguments = command("--device", "cpu", "--nproc_per_node", 2, "--set", "training_param.epochs=1", "--run_id", "two")
    shown = run("-m", "tsam_dali.runs.folds", *arguments, fresh=True, timeout=500)
    assert shown.returncode == 0, shown.stderr
    found = json.loads((command.results / "two_folds.json").read_text())
    total = 0
    for number in (1, 2):
        folder = command.results / f"two_fold_{number}"
        assert status(folder)["state"] == "finished"
        (record,) = epochs(folder)
        assert found["folds"][f"fold_{number}"]["loss"] == record["validation"]["loss"]
        total += record["validation"]["samples"]
    lists = [(fold.parent / "validation.txt") for fold in map(Path, arguments[1:3])]
    assert total == sum(len(read_list(path)) for path in lists)
