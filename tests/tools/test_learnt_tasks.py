"""The example as labels and as numbers: made, trained for a step, and learnt with three seeds."""

import csv
import json

import pytest

from tests.helpers.processes import called, run
from tools import make_example as maker
from tools.synthetic import squares
from tsam_dali.train import main as train

OF_NUMBERS = ("model.audio_segments=0", "data_augmentation.video_augmentation.scales=[1]", "training_param.epochs=15")
"""Settings beside those of the example: crops of other sizes would show other speeds."""


def words(*settings: object) -> list[str]:
    return [word for setting in settings for word in ("--set", str(setting))]


@pytest.mark.parametrize("task", ["labels", "numbers"])
def test_a_step_of_training(task, tmp_path):
    assert maker.make_example(tmp_path / "e", training=4, validation=2, workers=1, task=task)
    lines = [line.split() for line in (tmp_path / "e/training.txt").read_text().splitlines()]
    if task == "labels":
        assert [target for _, target in lines] == ["-", "1", "0", "0,1"]
    else:
        assert [float(target) for _, target in lines] == [squares.speed_of(0, (0, i)) for i in range(4)]
        assert len({target for _, target in lines}) == 4
    small = ("training_param.batch_size=4", "training_param.num_workers=0", f"results_folder={tmp_path}")
    data = ("--data", tmp_path / "e/data.json", *words("model.audio_segments=0", *small))
    done = called(train, *data, "--dry_run")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "dry_run/report.html").is_file()


@pytest.fixture(scope="module", params=["labels", "numbers"])
def whole_example(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / request.param
    assert run("tools/make_example.py", folder, "--task", request.param).returncode == 0
    if request.param == "labels":
        assert run("tools/precompute_audio.py", "--data", folder / "data.json").returncode == 0
    return request.param, folder


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_each_label_and_the_speed_are_learnt(whole_example, seed, tmp_path):
    task, folder = whole_example
    settings = (f"training_param.seed={seed}", f"results_folder={tmp_path}", *(OF_NUMBERS if task == "numbers" else ()))
    data = ("--data", folder / "data.json", *words(*settings))
    done = run("-m", "tsam_dali.train", *data, "--run_id", "r", timeout=3600)
    assert done.returncode == 0, done.stderr
    kept = ("--checkpoint", tmp_path / "r/checkpoints/latest", "--protocol", "centre", "--output", tmp_path / "e")
    assert run("-m", "tsam_dali.evaluate", *kept).returncode == 0
    if task == "labels":
        rows = list(csv.DictReader((tmp_path / "e/labels.csv").open()))
        assert min(float(row["accuracy"]) for row in rows) >= 0.99
    else:
        assert json.loads((tmp_path / "e/summary.json").read_text())["scores"]["r2"] >= 0.95
