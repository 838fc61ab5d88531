"""A folder with weights and a card stands wherever a checkpoint does, with every command."""

import json

import pytest

from tests.helpers.checkpoints import TINY, checkpoint
from tests.helpers.networks import one_thread  # noqa: F401 (a fixture)
from tests.helpers.processes import called
from tsam_dali import export, predict, train
from tsam_dali.evaluate.__main__ import main as evaluate

DEAF = ("model.audio_segments=0", "pipeline.workers=0")
CHANGES = (*TINY, *DEAF, "model.arch=resnet10t", "training_param.batch_size=8", "training_param.amp=off")


@pytest.fixture(scope="module")
def shared(example, tmp_path_factory):
    """The folder of a network that was trained with data in an absolute place."""
    folder = tmp_path_factory.mktemp("run")
    file = checkpoint(folder / "latest", *DEAF, f"dataset.data_dir={example}")
    done = called(export.main, "--checkpoint", file, "--safetensors", folder / "shared")
    assert done.returncode == 0, done.stderr
    return folder / "shared"


def trained(shared, data, *arguments):
    changes = [word for change in (*CHANGES, f"results_folder={shared.parent}") for word in ("--set", change)]
    return called(train.main, "--data", data / "data.json", "--device", "cpu", *changes, *arguments)


def test_it_is_scored(shared, example, tmp_path):
    common = ("--checkpoint", shared, "--protocol", "centre", "--output", tmp_path / "scores", "--device", "cpu")
    done = called(evaluate, *common, "--data", example / "data.json")
    assert done.returncode == 0, done.stderr
    scores = json.loads((tmp_path / "scores/summary.json").read_text())["scores"]
    assert (scores["scored"], scores["expected"]) == (9, 9)
    done = called(evaluate, *common)
    assert done.returncode == 2
    assert "a folder of weights does not say where the data are: give --data FILE" in done.stderr


def test_it_predicts_as_its_checkpoint(shared, example):
    video = sorted((example / "videos").glob("*.mp4"))[0]
    one, other = (
        called(predict.main, "--checkpoint", file, video, "--device", "cpu")
        for file in (shared, shared.parent / "latest")
    )
    assert one.returncode == 0, one.stderr
    assert one.stdout == other.stdout
    assert json.loads(one.stdout)["classes"]


def test_it_is_validated_and_trained_on(shared, example, caplog):
    caplog.set_level("INFO")
    done = trained(shared, example, "--validate", shared)
    assert done.returncode == 0, done.stderr
    assert "9 of 9 videos" in done.stdout
    done = trained(shared, example, "--fine_tune", shared, "--dry_run")
    assert done.returncode == 0, done.stderr
    assert "tsam_dali weights" in caplog.text


def test_it_is_no_run_to_go_on_with(shared, example):
    done = trained(shared, example, "--resume", shared)
    assert done.returncode == 2
    assert "shared: holds weights, not the state of a run; start from them with --fine_tune" in done.stderr
    done = trained(shared, example, "--resume", example)
    assert done.returncode == 2
    assert "has no config.json; expected a folder written by tsam_dali.export" in done.stderr
