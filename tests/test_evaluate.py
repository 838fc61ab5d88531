"""The evaluation as a user runs it: scores as in training, the same lines on any number of ranks, silence."""

import json

import pytest

from tests.processes import TORCHRUN, run

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
    summary, lines = evaluate(trained, tmp_path / "one", "--protocol", "centre")
    last = json.loads((trained / "metrics.jsonl").read_text().splitlines()[-1])["validation"]
    assert summary["scores"]["accuracy"] == last["accuracy"]
    assert summary["scores"]["balanced_accuracy"] == pytest.approx(last["balanced_accuracy"])
    assert (summary["scores"]["scored"], summary["scores"]["expected"]) == (9, 9)
    assert len(lines.splitlines()) == 9
    assert evaluate(trained, tmp_path / "two", "--protocol", "centre", ranks=2)[1] == lines


@pytest.mark.slow
def test_three_ranks_write_the_same_lines(trained, tmp_path):
    options = ("--protocol", "tsm-dense", "--clips", 2, "--crops", 3, "--average", "probabilities", "--no_audio")
    summary, lines = evaluate(trained, tmp_path / "one", *options)
    assert summary["with_sound"]["scored"] == 9
    assert {json.loads(line)["views"] for line in lines.splitlines()} == {6}
    for ranks in (2, 3):
        assert evaluate(trained, tmp_path / str(ranks), *options, ranks=ranks)[1] == lines
