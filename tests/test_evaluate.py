"""The evaluation as a user runs it: scores as in training, the same lines on any number of ranks, silence."""

import json

import numpy as np
import pytest

from pipelines.clips import Clip
from pipelines.dataset import Loaded
from pipelines.list_file import Entry
from tests.checkpoints import checkpoint
from tests.processes import TORCHRUN, run
from tsam_dali.evaluate import main
from tsam_dali.evaluation import SPLIT, Evaluation
from tsam_dali.evaluation_files import write_evaluation
from tsam_dali.scores import score
from tsam_dali.video_scores import VideoProbabilities

SMALL = (
    *("--set", "training_param.batch_size=8", "--set", "training_param.num_workers=2"),
    *("--set", "model.video_segments=4", "--set", "training_param.amp=off", "--set", "training_param.epochs=1"),
)


@pytest.fixture(scope="module")
def trained(example, tmp_path_factory):
    """A run of one epoch."""
    made = run("tools/precompute_audio.py", "--data", example / "data.json")
    assert made.returncode == 0, made.stderr
    results = tmp_path_factory.mktemp("results")
    data = ("--data", example / "data.json", "--set", f"results_folder={results}", "--run_id", "r")
    done = run("-m", "tsam_dali.train", *data, *SMALL)
    assert done.returncode == 0, done.stderr
    return results / "r"


def evaluate(trained, output, *arguments, ranks=None):
    launch = (*TORCHRUN, ranks, "-m", "tsam_dali.evaluate") if ranks else ("-m", "tsam_dali.evaluate")
    checkpoint = ("--checkpoint", trained / "checkpoints/latest", "--output", output, "--batch_size", 2)
    done = run(*launch, *checkpoint, *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads((output / "summary.json").read_text()), (output / "predictions.jsonl").read_bytes()


def test_the_centre_protocol_scores_what_training_scored(trained, tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "one/summary.json").write_text("of an earlier evaluation")
    summary, lines = evaluate(trained, tmp_path / "one", "--protocol", "centre")
    last = json.loads((trained / "metrics.jsonl").read_text().splitlines()[-1])["validation"]
    assert summary["scores"]["accuracy"] == last["accuracy"]
    assert summary["scores"]["balanced_accuracy"] == pytest.approx(last["balanced_accuracy"])
    assert (summary["scores"]["scored"], summary["scores"]["expected"]) == (9, 9)
    assert len(lines.splitlines()) == 9
    assert summary["class_names"] == ["left low", "left high", "right low", "right high"]
    files = {"predictions.jsonl", "summary.json", "classes.csv", "confusion.png", "report.html"}
    assert {path.name for path in (tmp_path / "one").iterdir()} == files  # nothing half-written is left
    assert evaluate(trained, tmp_path / "two", "--protocol", "centre", ranks=2)[1] == lines


def test_a_file_that_fails_while_it_is_written_leaves_the_earlier_one(tmp_path, monkeypatch):
    (tmp_path / "confusion.png").write_bytes(b"earlier")
    found = VideoProbabilities(np.eye(2), np.ones(2, int))
    entries = [Entry("a", 0, 1), Entry("b", 1, 2)]
    clips = [Clip(entry.id, entry.label, "", 1, 1, 1, False) for entry in entries]
    data = Loaded(clips={SPLIT: clips}, entries={SPLIT: entries}, left_out={SPLIT: {}})
    evaluation = Evaluation(
        data=data,
        label=np.array([0, 1]),
        unreadable={},
        partly_unreadable={},
        found=found,
        after=[score(np.eye(2), np.arange(2), 2)],
        with_sound=None,
        mistakes=[],
    )

    def half(_matrix, _names, file):
        file.write(b"half")
        raise OSError("no space left")

    monkeypatch.setattr("tsam_dali.evaluation_files.plot_confusion", half)
    with pytest.raises(OSError, match="no space"):
        write_evaluation(tmp_path, evaluation, ["x", "y"], {})
    assert (tmp_path / "confusion.png").read_bytes() == b"earlier"
    assert {path.name for path in tmp_path.iterdir()} == {
        "confusion.png",
        "predictions.jsonl",
        "summary.json",
        "classes.csv",
    }


def test_a_folder_that_cannot_be_made_is_named_before_the_work(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    options = ["--checkpoint", checkpoint(tmp_path / "latest"), "--output", tmp_path / "file/out", "--device", "cpu"]
    monkeypatch.setattr("sys.argv", ["evaluate", *map(str, options)])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "file/out: this folder cannot be made (Not a directory)" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_ten_clips_are_not_worse_than_one(tmp_path):
    """A network between chance and certainty, so that the clips have something to add."""
    data = ("--data", tmp_path / "data/data.json")
    small = ("--set", f"results_folder={tmp_path}", "--set", "training_param.epochs=6", "--run_id", "r")
    for command in (
        ("tools/make_example.py", tmp_path / "data", "--training", 160, "--validation", 96),
        ("tools/precompute_audio.py", *data),
        ("-m", "tsam_dali.train", *data, *small),
    ):
        done = run(*command, timeout=1200)
        assert done.returncode == 0, done.stderr
    summary, _ = evaluate(tmp_path / "r", tmp_path / "out", "--clips", 10)
    one, ten = (summary["after_clips"][place]["accuracy"] for place in (0, 9))
    assert 0.3 < one < 1
    assert ten >= one


@pytest.mark.slow
def test_three_ranks_write_the_same_lines(trained, tmp_path):
    options = ("--protocol", "tsm-dense", "--clips", 2, "--crops", 3, "--average", "probabilities", "--no_audio")
    summary, lines = evaluate(trained, tmp_path / "one", *options)
    assert summary["with_sound"]["scored"] == 9
    assert {json.loads(line)["views"] for line in lines.splitlines()} == {6}
    for ranks in (2, 3):
        assert evaluate(trained, tmp_path / str(ranks), *options, ranks=ranks)[1] == lines
