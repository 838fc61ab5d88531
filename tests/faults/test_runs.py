"""Runs that meet what clusters do to them: signals in every phase, other settings, folders that may not be written."""

import json
import logging
import re

import pytest

from pipelines.dataset.load import load_clips
from tests.helpers.media import write_video
from tests.helpers.processes import TORCHRUN, called, run
from tests.tsam_dali.runs.test_resume import SMALL, STEPS, assert_same, status
from tsam_dali.config.load import ConfigError, config_from_dict
from tsam_dali.runs.folder import RunFolder
from tsam_dali.runs.metrics_log import read_records
from tsam_dali.train import main
from tsam_dali.weights.checkpoint import load_checkpoint


@pytest.mark.usefixtures("ordinary_rights")
def test_folders_that_may_not_be_written(tmp_path, caplog):
    """No results folder is an error before training; no index beside the data is a warning."""
    (tmp_path / "videos").mkdir()
    for clip_id in "ab":
        write_video(tmp_path / f"videos/{clip_id}.mp4", 3, (48, 64))
    (tmp_path / "training.txt").write_text("a 0\nb 1\n")
    (tmp_path / "validation.txt").write_text("a 0\n")
    tmp_path.chmod(0o500)
    sections = {"dataset": {"data_dir": str(tmp_path)}, "results_folder": str(tmp_path / "results")}
    config = config_from_dict(sections | {"model": {"audio_segments": 0}})
    with caplog.at_level(logging.WARNING):
        assert [clip.id for clip in load_clips(config)["training"]] == ["a", "b"]
    assert caplog.text.count("cannot be saved (Permission denied)") == 1
    with pytest.raises(ConfigError, match=r"results/first: cannot be written \(Permission denied\)"):
        RunFolder(config, "first").create(config, None)
    tmp_path.chmod(0o700)


@pytest.fixture(scope="module")
def command(example, tmp_path_factory):
    """The command line of a run by its name, and the folder of the results."""
    results = tmp_path_factory.mktemp("results")

    def command(name, *arguments):
        return (
            "--data",
            example / "data.json",
            "--set",
            f"results_folder={results}",
            "--run_id",
            name,
            *SMALL,
            *arguments,
        )

    command.results = results
    return command


def test_a_loss_that_is_not_finite_ends_the_run_and_spoils_no_checkpoint(command):
    done = called(main, *command("endless", "--set", "optimizer_param.lr=1e30"))
    assert done.returncode == 2, done.stderr
    assert re.search(r"is not finite; its clips: train.*\. Inspect them, .* the checkpoint of step 1 is", done.stderr)
    assert "Traceback" not in done.stderr
    folder = command.results / "endless"
    found = status(folder)
    assert found["state"] == "failed"
    assert "not finite" in found["reason"]
    for path in (folder / "checkpoints").glob("step_????????"):
        state = load_checkpoint(path, digest_needed=True)
        assert state["step"] <= 2  # the loss of step 1, counted from 0, is the first after the huge step
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    assert all("NaN" not in line and json.loads(line) for line in lines)


STOP_IN = """
import os, runpy, signal, sys
import tsam_dali.weights.checkpoint_folder, tsam_dali.training.engine, tsam_dali.model, tsam_dali.runs.report
(module, name), last = sys.argv[1].rsplit(".", 1), int(sys.argv[2])
module = sys.modules[module]
function, calls = getattr(module, name), []
def signalled(*arguments, **options):
    calls.append(name)
    if len(calls) == last:
        os.kill(os.getpid(), signal.SIGTERM)
    return function(*arguments, **options)
setattr(module, name, signalled)
sys.argv = ["tsam_dali.train", *sys.argv[3:]]
runpy.run_module("tsam_dali.train", run_name="__main__")
"""


NO_OTHER_SAVES = (  # but those at the end of an epoch of four steps; and a record of every step
    *("--set", "training_param.save_every_steps=0", "--set", "training_param.save_every_minutes=0"),
    *("--set", "training_param.log_steps=1"),
)


PHASES = {  # function and call of it in which the signal comes -> steps done then, and epochs
    "building the network": ("tsam_dali.model.build_model", 1, 0, 0),
    "training": ("tsam_dali.training.engine.mix", 6, 6, 1),
    "saving": ("tsam_dali.weights.checkpoint_folder.save_checkpoint", 2, 9, 2),
    "validation": ("tsam_dali.training.engine.evaluate", 2, 8, 1),
    "the report": ("tsam_dali.runs.report.write_run_report", 1, 5, 1),
}


@pytest.fixture(scope="module")
def whole(command):
    """The checkpoint of a run that nothing interrupted."""
    done = run("-m", "tsam_dali.train", *command("whole"))
    assert done.returncode == 0, done.stderr
    return load_checkpoint(command.results / "whole/checkpoints/latest")


@pytest.mark.slow
@pytest.mark.parametrize("phase", PHASES)
def test_sigterm_in_every_phase_loses_no_step(command, whole, phase):
    name, call, steps, epochs = PHASES[phase]
    arguments = command(phase.replace(" ", "_"), *NO_OTHER_SAVES)
    folder = command.results / phase.replace(" ", "_")
    done = run("-c", STOP_IN, name, call, *arguments)
    assert done.returncode == 75, done.stderr
    assert status(folder)["state"] == "preempted"
    assert "SIGTERM" in status(folder)["reason"]
    if steps:
        assert steps_trained(folder) == list(range(1, steps + 1))
        kept = load_checkpoint(folder / "checkpoints/latest")
        assert (kept["step"], len(kept["history"]), status(folder)["step"]) == (steps, epochs, steps)
    done = run("-m", "tsam_dali.train", *arguments, "--resume", "auto")
    assert done.returncode == 0, done.stderr
    assert steps_trained(folder) == list(range(1, STEPS + 1))
    assert_same(load_checkpoint(folder / "checkpoints/latest"), whole)


def steps_trained(folder):
    """By the run's own record."""
    return [record["step"] for record in read_records(folder / "metrics.jsonl") if record["kind"] == "steps"]


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_ranks(command, whole):
    name, call, *_ = PHASES["training"]
    done = run("-c", STOP_IN, name, call, *command("ranks"))
    assert done.returncode == 75, done.stderr
    done = run(*TORCHRUN, 2, "-m", "tsam_dali.train", *command("ranks", "--resume", "auto"))
    assert done.returncode == 0, done.stderr
    folder = command.results / "ranks"
    state = load_checkpoint(folder / "checkpoints/latest")
    assert state["step"] == STEPS
    assert status(folder)["state"] == "finished"
    samples = [(epoch["training"]["samples"], epoch["validation"]["samples"]) for epoch in state["history"]]
    assert samples == [(24, 9)] * 3
