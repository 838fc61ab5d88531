"""The trainer as a user runs it: dry run, a run that is resumed, fine tuning, validation, two ranks."""

import json
import re
import shutil

import pytest
import torch

from tests.helpers.processes import ROOT, TORCHRUN, called, run
from tsam_dali.runs.signals import Interrupted
from tsam_dali.train import main
from tsam_dali.weights.checkpoint import load_checkpoint

SMALL = (
    *("--set", "training_param.batch_size=8", "--set", "training_param.num_workers=2"),
    *("--set", "model.video_segments=4", "--set", "training_param.amp=off"),
)


@pytest.fixture(scope="module")
def data(example):
    made = run("tools/precompute_audio.py", "--data", example / "data.json")
    assert made.returncode == 0, made.stderr
    return example


@pytest.fixture(scope="module")
def train(data, tmp_path_factory):
    """Run the trainer on the small example, in this process (`here`) without decode workers, which take a second each
    to start; results in a folder of the module."""
    results = tmp_path_factory.mktemp("results")

    def train(*arguments, ranks=None, here=False):
        launch = (*TORCHRUN, ranks, "-m", "tsam_dali.train") if ranks else ("-m", "tsam_dali.train")
        common = ("--data", data / "data.json", "--set", f"results_folder={results}", *SMALL, *arguments)
        done = called(main, *common, "--set", "pipeline.workers=0") if here else run(*launch, *common)
        assert "Traceback" not in done.stderr or done.returncode not in (0, 2), done.stderr
        return done

    train.results = results
    return train


@pytest.fixture(scope="module")
def two_epochs(train):
    """A run of two epochs."""
    done = train("--run_id", "whole", "--set", "training_param.epochs=2", "--set", "save_epoch=[0, 1]")
    assert done.returncode == 0, done.stderr
    return train.results / "whole", done


def status(folder):
    return json.loads((folder / "status.json").read_text())


def epochs(folder):
    """The records of a run's epochs."""
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [line for line in lines if line["kind"] == "epoch"]


def test_what_a_run_leaves(two_epochs):
    folder, done = two_epochs
    assert re.search(r"validation accuracy [\d.]+% on 9 of 9 clips, best", done.stdout)
    assert re.search(r"epoch 1: validation loss [\d.]+, accuracy [\d.]+% on 9 of 9 clips", done.stderr)
    assert str(folder / "curves.png") in done.stdout
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    events = {name for name in names if name.startswith("tensorboard/")}
    assert events
    names -= events
    checkpoints = {"step_00000003", "step_00000006", "unbalanced_best", "balanced_best", "epoch_0", "epoch_1"}
    digests = {f"checkpoints/{name}.sha256" for name in checkpoints}
    records = {"args.json", "status.json", "result.json", "metrics.jsonl", "log.txt", "run.lock"}
    files = records | {"curves.png", "inputs.png", "report.html"}
    assert names == files | digests | {f"checkpoints/{name}" for name in (*checkpoints, "latest")}
    assert (folder / "checkpoints/latest").readlink().name == "step_00000006"
    assert status(folder)["state"] == "finished"
    assert "INFO 24 training clips, 9 validation clips" in (folder / "log.txt").read_text()
    settings = json.loads((folder / "args.json").read_text())
    assert (settings["model"]["video_segments"], settings["model"]["num_class"]) == (4, 4)
    assert settings["versions"]["torch"] == torch.__version__.split("+")[0]
    result = json.loads((folder / "result.json").read_text())
    assert list(result["history_score"]) == ["0", "1"]
    assert result["class_names"] == ["left low", "left high", "right low", "right high"]
    lines = epochs(folder)
    assert [line["training"]["samples"] for line in lines] == [24, 24]
    assert [line["validation"]["samples"] for line in lines] == [9, 9]
    assert result["best_score"]["unbalanced"] == max(line["validation"]["accuracy"] for line in lines)
    assert result["history_score"]["1"]["training"]["unbalanced"] == lines[1]["training"]["accuracy"]
    assert "modalities" not in lines[0]  # another epoch follows
    assert list(lines[1]["modalities"]) == ["both", "frames", "audio"]
    for score, value in lines[1]["modalities"]["both"].items():
        assert value == lines[1]["validation"][score]
    assert "audio alone: accuracy" in done.stdout
    assert "<h2>Modalities</h2>" in (folder / "report.html").read_text()
    assert all(0 <= line["data_wait"] <= 1 and line["clips_per_second"] > 0 for line in lines)


def test_no_step_is_missing_in_the_log(two_epochs):
    """Epochs of 3 steps are shorter than a window of 50."""
    folder, _ = two_epochs
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    windows = [(line["epoch"], line["step"], line["loss"]) for line in lines if line["kind"] == "steps"]
    expected = [(line["epoch"], line["step"], line["training"]["loss"]) for line in epochs(folder)]
    assert [window[:2] for window in windows] == [epoch[:2] for epoch in expected] == [(0, 3), (1, 6)]
    assert [window[2] for window in windows] == pytest.approx([epoch[2] for epoch in expected])


def test_what_differs_from_the_checkpoint_is_shown(train, two_epochs):
    shutil.copytree(train.results / "whole", train.results / "changed", symlinks=True)
    again = train("--run_id", "changed", here=True)
    assert again.returncode == 2
    assert "holds a run already; choose another --run_id, or add --resume auto" in again.stderr
    assert status(train.results / "changed")["state"] == "finished"  # that of the run that lies there
    other = ("--run_id", "changed", "--resume", "auto", "--set", "optimizer_param.lr=0.3")
    refused = train(*other, here=True)
    assert refused.returncode == 2
    assert "optimizer_param.lr: 0.004 -> 0.3" in refused.stderr
    assert "training_param.epochs: 2 -> 10" in refused.stderr
    assert "--force" in refused.stderr
    assert status(train.results / "changed")["state"] == "finished"
    one_step = ("--set", "training_param.epochs=3", "--set", "training_param.batch_size=24")
    forced = train(*other, *one_step, "--set", "optimizer_param.name=sgd", "--force", here=True)
    assert forced.returncode == 0, forced.stderr
    assert "the checkpoint's optimizer state (adamw) does not fit: sgd starts without it" in forced.stderr
    assert "resuming at the start of epoch 2, step 2 instead of 6" in forced.stderr
    state = load_checkpoint(train.results / "changed/checkpoints/latest")
    assert (state["step"], state["steps_per_epoch"]) == (3, 1)
    assert [epoch["training"]["samples"] for epoch in state["history"]] == [24, 24, 24]


def test_another_network_is_refused_even_by_force(train, two_epochs):
    shutil.copytree(train.results / "whole", train.results / "other", symlinks=True)
    other = ("--run_id", "other", "--resume", "auto", "--force", "--set", "model.arch=resnet18")
    done = train(*other, here=True)
    assert done.returncode == 2, done.stderr
    assert "the checkpoint has another network" in done.stderr.splitlines()[-1]
    assert "--fine_tune" in done.stderr.splitlines()[-1]


def test_dry_run(train):
    done = train("--dry_run", here=True)
    assert done.returncode == 0, done.stderr
    assert "dry run: one step of training and of validation and one checkpoint worked" in done.stdout
    (line,) = epochs(train.results / "dry_run")
    assert (line["training"]["samples"], line["validation"]["samples"]) == (8, 8)
    images = (
        "data_augmentation.video_augmentation.RandAugment=2",
        "data_augmentation.video_augmentation.RandomErasing=1",
    )
    varied = (*images, "data_augmentation.audio_augmentation.SpecAugment=1", "training_param.cutmix=1")
    changes = [word for change in varied for word in ("--set", change)]
    assert train("--dry_run", *changes, here=True).returncode == 0  # it takes the place of the one before
    page = (train.results / "dry_run/report.html").read_text()
    assert page.count("a rectangle erased · spectrograms masked") == 6
    refused = train("--dry_run", "--run_id", "dry_run", "--resume", "auto", here=True)
    assert refused.returncode == 2
    assert "--dry_run starts a run of its own: leave out --resume" in refused.stderr


@pytest.mark.parametrize("validated", [False, True])
def test_stopped_while_it_starts_where_a_run_lies(train, two_epochs, monkeypatch, validated):
    def stopped(*_):
        raise Interrupted("SIGTERM")

    folder = train.results / f"stopped_{validated}"
    shutil.copytree(train.results / "whole", folder, symlinks=True)
    monkeypatch.setattr("tsam_dali.train.prepare_example", stopped)
    how = ("--validate", folder / "checkpoints/latest") if validated else ("--resume", "auto")
    done = train("--run_id", folder.name, *how, here=True)
    assert done.returncode == 75
    assert "stopped by SIGTERM" in done.stderr
    assert ("6 steps are done and saved" in done.stderr) != validated
    assert ("--resume auto" in done.stderr) != validated
    assert (status(folder)["state"], status(folder)["step"]) == ("finished" if validated else "preempted", 6)


@pytest.mark.slow
def test_dry_run_of_a_compiled_network(train):
    done = train("--dry_run", "--set", "training_param.compile=true", "--set", "model.arch=resnet10t")
    assert done.returncode == 0, done.stderr
    network = load_checkpoint(train.results / "dry_run/checkpoints/latest")["model"]
    assert not [name for name in network if "_orig_mod" in name]


def test_validation_of_a_checkpoint_scores_what_training_scored(train, two_epochs):
    folder, _ = two_epochs
    done = train("--validate", folder / "checkpoints/latest", "--set", "model_validation=2", here=True)
    assert done.returncode == 0, done.stderr
    last = epochs(folder)[-1]["validation"]
    lines = done.stdout.splitlines()
    accuracies = f"accuracy {last['accuracy']:.2%}, balanced {last['balanced_accuracy']:.2%}"
    assert lines[0].startswith(f"1 clip, with audio: {accuracies}")
    assert lines[0].endswith("on 9 of 9 videos")
    assert lines[1].startswith("2 clips, with audio: accuracy ")


def test_fine_tuning_starts_from_the_given_weights(train, two_epochs):
    folder, _ = two_epochs
    slow = ("--set", "optimizer_param.lr=1e-12", "--set", "training_param.epochs=1")
    done = train("--run_id", "tuned", "--fine_tune", folder / "checkpoints/latest", *slow, here=True)
    assert done.returncode == 0, done.stderr
    start, end = (load_checkpoint(path / "checkpoints/latest")["model"] for path in (folder, train.results / "tuned"))
    weights = [name for name in start if name.endswith("conv1.weight")]
    assert weights
    for name in weights:
        torch.testing.assert_close(end[name], start[name])


def test_fine_tuning_for_classes_of_other_names_begins_with_a_new_head(train, two_epochs):
    folder, _ = two_epochs
    names = 'dataset.class_names=["right low", "left high", "left low", "right high"]'
    done = train("--fine_tune", folder / "checkpoints/latest", "--set", names, "--dry_run", here=True)
    assert done.returncode == 0, done.stderr
    assert "head: new, because label 0 is 'right low' here, but 'left low' in the checkpoint" in done.stderr


def test_two_ranks_train_and_validate_each_clip_once(train, two_epochs):
    folder, _ = two_epochs
    weights = ("--fine_tune", folder / "checkpoints/latest")
    done = train("--run_id", "two", "--set", "training_param.epochs=1", *weights, ranks=2)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("tensors loaded") == 1  # though both ranks load them
    (line,) = epochs(train.results / "two")
    assert (line["training"]["samples"], line["validation"]["samples"]) == (24, 9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--resume", "none"], "none: no such checkpoint"),
        (["--validate", "none"], "none"),
        (["--config", "none.json"], "none.json: cannot be read"),
        (["--device", "0,1"], "expected cpu or cuda"),
        (["--set", "training_param.batch_size=100"], "the training list has only 24 clips"),
        (["--set", "model.arch=resnet1000"], "resnet1000"),
        (["--set", "optimizer_param.name=sdg"], "sdg"),
    ],
)
def test_wrong_input_is_an_error_of_one_line(train, arguments, message):
    done = train(*arguments, here=True)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_run_that_cannot_start_leaves_no_folder(train):
    before = set(train.results.iterdir())
    done = train("--run_id", "never", "--set", "training_param.batch_size=100", here=True)
    assert done.returncode == 2
    assert set(train.results.iterdir()) == before


@pytest.mark.slow
def test_four_ranks_without_arguments_make_the_example_first(tmp_path):
    shutil.copytree(ROOT / "config", tmp_path / "config")
    done = run(*TORCHRUN, 4, "-m", "tsam_dali.train", "--dry_run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("making the example data set") == 1
    assert "320 training clips, 96 validation clips" in done.stderr
    assert "dry run: one step" in done.stdout
