"""Labels and numbers from the lists to all outputs: training, resume, evaluation, prediction, export."""

import csv
import json

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, mean_absolute_error

from tests.helpers.processes import called
from tsam_dali.evaluate.__main__ import main as evaluate
from tsam_dali.export import main as export
from tsam_dali.inference.export.formats import read_preprocessing
from tsam_dali.predict import main as predict
from tsam_dali.train import main as train

NAMED = {
    "labels": {"task": "labels", "class_names": ["right", "high"]},
    "numbers": {
        "task": "numbers",
        "numbers": [{"name": "speed", "range": [-90, 90], "unit": "pixels/s"}, {"name": "pitch", "range": [0, 1]}],
    },
}
SMALL = (
    *(
        "training_param.batch_size=8",
        "training_param.num_workers=0",
        "model.video_segments=2",
        "training_param.amp=off",
    ),
    *("model.audio_segments=0", "training_param.epochs=1", 'training_param.best_scores=["loss"]'),
)


def target(task: str, number: int) -> str:
    if task == "labels":
        return ("-", "1", "0", "0,1")[number % 4]
    return f"{10 * (number % 7) - 30.5},{number % 3 / 4}"


def run(main, *arguments):
    done = called(main, *arguments)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module", params=["labels", "numbers"])
def trained(request, example, tmp_path_factory):
    """Task, data file and run of one epoch; one validation clip cannot be read."""
    task, folder = request.param, tmp_path_factory.mktemp(request.param)
    (folder / "videos").mkdir()
    for split, count in (("training", 16), ("validation", 9)):
        names = [f"{split}_{number:04d}" for number in range(count)]
        for name in names:
            (folder / "videos" / f"{name}.mp4").write_bytes((example / "videos" / f"{name}.mp4").read_bytes())
        lines = [f"{name} {target(task, number)}\n" for number, name in enumerate(names)]
        (folder / f"{split}.txt").write_text("".join(lines))
    (folder / "data.json").write_text(json.dumps({"dataset": {"data_dir": str(folder), **NAMED[task]}}))
    changes = [part for change in (*SMALL, f"results_folder={folder}") for part in ("--set", change)]
    run(train, "--data", folder / "data.json", *changes, "--run_id", "r")
    return task, folder / "r"


def test_training_keeps_scores_and_the_best_checkpoints(trained):
    task, folder = trained
    record = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    best = {"labels": "mAP", "numbers": "ccc"}[task]
    assert record["training"].keys() == {"loss", "samples"}
    assert record["validation"].keys() >= {"loss", "samples", best}
    assert {"loss_best", f"{best}_best"} <= {path.name for path in (folder / "checkpoints").iterdir()}
    result = json.loads((folder / "result.json").read_text())
    assert result["best_score"] == {score: record["validation"][score] for score in ("loss", best)}
    page = (folder / "report.html").read_text()
    for section in (task.capitalize(), "Last epoch", "Curves", "Network inputs", "Worst mistakes"):
        assert f"<h2>{section}</h2>" in page
    assert "could not be drawn" not in page


def test_evaluation_scores_what_training_scored(trained, tmp_path):
    task, folder = trained
    run(evaluate, "--checkpoint", folder / "checkpoints/latest", "--output", tmp_path, "--protocol", "centre")
    summary = json.loads((tmp_path / "summary.json").read_text())
    last = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])["validation"]
    for score, value in summary["scores"].items():
        if score in ("mAP", "auroc", "mae", "r2", "ccc"):
            assert value == pytest.approx(last[score], abs=1e-5)
    lines = [json.loads(line) for line in (tmp_path / "predictions.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == [f"validation_{number:04d}" for number in range(9)]
    if task == "labels":
        truth = np.array([[label in line["labels"] for label in range(2)] for line in lines])
        found = np.array([list(line["probabilities"].values()) for line in lines])
        assert summary["scores"]["mAP"] == pytest.approx(average_precision_score(truth, found), abs=1e-12)
        positive = np.array([[label in line["prediction"] for label in range(2)] for line in lines])
        assert summary["scores"]["f1"] == pytest.approx(f1_score(truth, positive, average="macro"), abs=1e-12)
        assert summary["scores"]["thresholds"] == last["thresholds"]
    else:
        truth, found = (np.array([list(line[key].values()) for line in lines]) for key in ("numbers", "prediction"))
        assert truth[1].tolist() == [-20.5, 0.25]
        assert summary["scores"]["mae"] == pytest.approx(mean_absolute_error(truth, found), abs=1e-12)
        assert (tmp_path / "numbers.png").is_file()
    rows = list(csv.DictReader((tmp_path / f"{task}.csv").open()))
    assert [row["name"] for row in rows] == (["right", "high"] if task == "labels" else ["speed", "pitch"])
    assert "could not be drawn" not in (tmp_path / "report.html").read_text()


def test_unreadable_videos_are_left_out_and_named(trained, tmp_path):
    _, folder = trained
    broken = folder.parent / "videos/validation_0003.mp4"
    whole = broken.read_bytes()
    try:
        broken.write_bytes(whole[:100])
        run(evaluate, "--checkpoint", folder / "checkpoints/latest", "--output", tmp_path, "--protocol", "centre")
    finally:
        broken.write_bytes(whole)
    lines = [json.loads(line) for line in (tmp_path / "predictions.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines if line["prediction"] is None] == ["validation_0003"]
    assert json.loads((tmp_path / "summary.json").read_text())["scores"]["scored"] == 8


def test_predictions_say_what_the_task_is(trained, tmp_path):
    task, folder = trained
    chosen = "--checkpoint", folder / "checkpoints/latest", folder.parent / "videos/validation_0000.mp4"
    run(predict, *chosen, "--output", tmp_path / "p.jsonl", "--pictures", tmp_path / "a", "--explain", tmp_path / "b")
    (line,) = map(json.loads, (tmp_path / "p.jsonl").read_text().splitlines())
    run(predict, *chosen, "--output", tmp_path / "t.csv", "--window", 1, "--pictures", tmp_path / "c")
    first = next(csv.DictReader((tmp_path / "t.csv").open()))
    if task == "labels":
        assert {one["name"] for one in line["labels"]} == {"right", "high"}
        assert 0 < float(first["probability"]) < 1
    else:
        assert [(one["name"], one["unit"]) for one in line["numbers"]] == [("speed", "pixels/s"), ("pitch", "")]
        assert -90 <= line["numbers"][0]["value"] <= 90
        assert (first["name"], first["unit"], float(first["value"])) == ("speed", "pixels/s", float(first["value"]))
    assert {len(list((tmp_path / name).glob("*.png"))) for name in "abc"} == {1}


def test_exports_say_what_the_task_is(trained, tmp_path):
    task, folder = trained
    run(export, "--checkpoint", folder / "checkpoints/latest", tmp_path / "n.pt2", "--safetensors", tmp_path / "f")
    output = read_preprocessing(tmp_path / "n.pt2")["output"]
    card = (tmp_path / "f/README.md").read_text()
    if task == "labels":
        assert (output["probabilities"], len(output["thresholds"])) == ("sigmoid", 2)
        assert "2 labels" in card
        assert "mAP" in card
    else:
        assert output["numbers"][0] == {"name": "speed", "range": [-90, 90], "unit": "pixels/s"}
        assert "speed, -90 to 90 pixels/s" in card
        assert "CCC" in card


def test_other_targets_than_those_of_the_training_are_refused(trained, tmp_path):
    task, folder = trained
    other = {"labels": "numbers", "numbers": "labels"}[task]
    data = {"dataset": {"data_dir": str(folder.parent), **NAMED[other]}}
    (tmp_path / "data.json").write_text(json.dumps(data))
    done = called(evaluate, "--checkpoint", folder / "checkpoints/latest", "--data", tmp_path / "data.json")
    assert done.returncode == 2
    assert f"dataset.task: {other!r} here, but {task!r} in the checkpoint" in done.stderr
