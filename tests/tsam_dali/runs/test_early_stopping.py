"""Early stopping: on the score that the settings name, after so many epochs, the same in one go and resumed."""

import json

import pytest

from tests.helpers.processes import called
from tsam_dali.config.load import ConfigError, config_from_dict
from tsam_dali.runs.run import epochs_since_best
from tsam_dali.train import main
from tsam_dali.weights.checkpoint import load_checkpoint


@pytest.mark.parametrize(
    ("score", "values", "expected"),
    [
        ("accuracy", [], 0),
        ("accuracy", [0.1], 0),
        ("accuracy", [0.1, 0.3, 0.3, 0.2], 2),
        ("accuracy", [0.3, 0.1, 0.2, 0.4], 0),
        ("loss", [3.0, 2.0, 2.5], 1),
        ("loss", [3.0, float("nan"), 2.5], 0),
        ("ccc", [None, None], 2),
        ("ccc", [None, 0.2, None], 1),
    ],
)
def test_epochs_since_the_best(score, values, expected):
    assert epochs_since_best(score, values) == expected


@pytest.mark.parametrize(("score", "known"), [("acuracy", "accuracy"), ("mAP", "loss")])
def test_an_unknown_score_is_an_error(score, known):
    with pytest.raises(ConfigError, match=rf"early_stopping: '{score}' is no score of the task classes; .*{known}"):
        config_from_dict({"dataset": {"data_dir": "."}, "training_param": {"early_stopping": score}})


@pytest.fixture(scope="module")
def train(example, tmp_path_factory):
    """Train without learning anything: after the first epoch the score stays."""
    results = tmp_path_factory.mktemp("results")
    still = ("optimizer_param.lr=1e-30", "optimizer_param.schedule=step", "training_param.batch_norm=frozen")
    small = ("training_param.batch_size=8", "training_param.num_workers=0", "model.video_segments=2")
    small += ("model.audio_segments=0", "data_augmentation.video_image_param.output_size=32")
    stops = ("training_param.early_stopping=accuracy", "training_param.patience=2", "save_epoch=[]")
    changes = [word for change in (*still, *small, *stops, f"results_folder={results}") for word in ("--set", change)]

    def train(name, epochs, *arguments):
        data = ("--data", example / "data.json", "--run_id", name, "--set", f"training_param.epochs={epochs}")
        done = called(main, *data, *changes, *arguments)
        assert done.returncode == 0, done.stderr
        return results / name, done

    return train


def history(folder):
    return [record["validation"] for record in load_checkpoint(folder / "checkpoints/latest")["history"]]


@pytest.mark.ci
def test_a_run_stops_and_a_resumed_one_stops_there_too(train):
    folder, done = train("whole", 6)
    assert len(history(folder)) == 3  # the best one and two that are no better
    assert "early stopping after 3 epochs: accuracy has not become better for 2" in done.stderr
    assert json.loads((folder / "status.json").read_text())["state"] == "finished"
    parts, done = train("parts", 2)
    assert "early stopping" not in done.stderr
    assert len(history(parts)) == 2
    train("parts", 6, "--resume", "auto")
    assert history(parts) == history(folder)
    again, done = train("parts", 6, "--resume", "auto")
    assert history(again) == history(folder)
    assert "early stopping after 3 epochs" in done.stderr
    longer, _ = train("parts", 6, "--resume", "auto", "--set", "training_param.patience=3")
    assert len(history(longer)) == 4  # more patience is no other training


@pytest.mark.ci
def test_the_best_checkpoint_by_the_score_is_kept(train):
    folder, _ = train("loss", 1, "--set", "training_param.early_stopping=loss")
    names = {path.name for path in (folder / "checkpoints").iterdir()}
    assert {"loss_best", "balanced_best"} <= names
    assert "accuracy_best" not in names
