"""The demo as `make demo` runs it, and the benchmark of its trainings; both on a few clips and for one epoch."""

import json
import subprocess

import pytest

from benchmarks.training.demo import CUES
from tests.benchmarks.read_results import results
from tests.helpers.forks.popen import Forked
from tests.helpers.processes import called, run
from tools import demo


@pytest.fixture(scope="module")
def one_epoch(example, tmp_path_factory):
    """Arguments of a training that cannot learn."""
    assert run("tools/precompute_audio.py", "--data", example / "data.json", "--workers", 1).returncode == 0
    folder = tmp_path_factory.mktemp("results")
    settings = ("training_param.epochs=1", "training_param.batch_size=8", f"results_folder={folder}")
    return ("--data", example / "data.json", *(word for setting in settings for word in ("--set", setting)))


@pytest.mark.ci
def test_a_demo_that_is_not_learnt_is_an_error_in_one_sentence(one_epoch, monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", Forked)
    done = called(demo.main, *one_epoch)
    assert done.returncode.startswith("error: the demo was not learnt: its validation accuracy is")
    assert "expected at least 95%" in done.returncode


def test_mistakes_of_the_training_are_those_of_the_demo():
    done = run("tools/demo.py", "--set", "training_param.epochs=0", fresh=True)
    assert done.returncode == 2
    assert "training_param.epochs" in done.stderr


@pytest.mark.slow
def test_benchmark(one_epoch, tmp_path):
    output = tmp_path / "demo.json"
    seeds = ["--seeds", "3", "--cue_seeds", "4", "--masked_seeds", "5", "--transformer_seeds", "6"]
    found = results(run("-m", "benchmarks.training.demo", *seeds, *one_epoch, "--output", output), output)
    trainings = {(f["variant"], f["seed"], f["threads"], f["amp"]) for f in found["figures"]}
    whole = {("shift and audio", 3, threads, "off") for threads in (1, 2)} | {("shift and audio", 5, 2, "off")}
    assert whole | {("without the shift", 4, 2, "off"), ("without the audio", 4, 2, "off")} <= trainings
    assert {(f"transformer, {cue}", 6, 1, "off") for cue in CUES} <= trainings
    assert {f["instructions"] for f in found["figures"] if f["seed"] == 5} == {"AVX2"}
    assert all(f["accuracies"] == [f["accuracy"]] and f["seconds"] > 1 for f in found["figures"])
    assert json.loads(output.read_text())["method"]["epochs"] == 1
