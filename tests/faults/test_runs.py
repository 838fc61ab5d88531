"""Runs that meet what clusters do to them: signals in every phase, other settings, folders that may not be written."""

import json
import logging
import re

import pytest
import torch

from pipelines.dataset.clips import Clip
from pipelines.dataset.load import load_clips
from tests.helpers.checkpoints import TINY, checkpoint
from tests.helpers.media import write_video
from tests.helpers.networks import settings
from tests.helpers.processes import TORCHRUN, run
from tests.tsam_dali.runs.test_resume import SMALL, STEPS, assert_same, status
from tsam_dali.config.load import Config, ConfigError, config_from_dict
from tsam_dali.distributed import Job
from tsam_dali.runs.folder import RunFolder
from tsam_dali.runs.initial_network import initial_network
from tsam_dali.runs.metrics_log import read_records
from tsam_dali.runs.resume import FREE, ResumeError, check_resume, fingerprints, fit_epochs
from tsam_dali.weights.checkpoint import CheckpointError, load_checkpoint

CLIPS = {
    split: [Clip(f"{split}{i}", i % 2, f"{i}.mp4", 8, 48, 64, "") for i in range(4)]
    for split in ("training", "validation")
}


def resume_problems(before: Config, now: Config, clips=CLIPS) -> str:
    """What is said of going on with other settings or lists; nothing if it is allowed."""
    try:
        check_resume({"config": before.to_dict(), "lists": fingerprints(CLIPS)}, now, clips)
    except ResumeError as error:
        return str(error)
    return ""


def leaves(section: dict, name: str = ""):
    for key, value in section.items():
        where = f"{name}.{key}".lstrip(".")
        if isinstance(value, dict) and value:
            yield from leaves(value, where)
        else:
            yield where, value


def is_free(name: str) -> bool:
    return any(name == free or name.startswith(f"{free}.") for free in FREE)


class Changed:
    """Settings as a dictionary in which one value is another."""

    def __init__(self, config: Config, name: str):
        self._content = config.to_dict()
        *sections, key = name.split(".")
        place = self._content
        for section in sections:
            place = place[section]
        place[key] = "something else"

    def to_dict(self) -> dict:
        return self._content


def test_every_setting_that_decides_what_is_learned_is_compared():
    config = settings()
    names = [name for name, _ in leaves(config.to_dict())]
    assert len(names) > 40
    assert resume_problems(config, config) == ""
    for name in names:
        said = resume_problems(config, Changed(config, name))
        assert said == "" if is_free(name) else f"  {name}: " in said and "--force" in said, name


def test_the_number_of_epochs_is_free_where_no_rate_depends_on_it(caplog):
    caplog.set_level(logging.INFO)
    for schedule, said in (("step", ""), ("cosine", "training_param.epochs: 2 -> 3, by which the learning rate jumps")):
        two, three = (
            settings(f"optimizer_param.schedule={schedule}", f"training_param.epochs={epochs}") for epochs in (2, 3)
        )
        found = resume_problems(two, three)
        assert said in found
        assert bool(said) == bool(found)
    assert caplog.messages == ["training_param.epochs: 2 -> 3; all else stays as it was"]


def test_of_the_pipeline_only_what_is_about_the_machine_may_differ():
    config = settings()
    names = [f"pipeline.{key}" for key in config.to_dict()["pipeline"]]
    refused = [name for name in names if resume_problems(config, Changed(config, name))]
    assert refused == ["pipeline.source", "pipeline.max_bad_fraction"]


@pytest.mark.parametrize(("now", "step"), [(1, 1), (2, 2), (4, 6), (8, 8)])
def test_epochs_of_another_length_begin_anew(caplog, now, step):
    """Step 6 of epochs of 4 is in the middle of epoch 1."""
    sums = {"confusion": torch.ones(2, 2, dtype=torch.int64), "loss_sum": torch.tensor(3.0)}
    state = {"step": 6, "steps_per_epoch": 4, "history": [{"epoch": 0}], "epoch_sums": sums}
    found = fit_epochs(state, now)
    assert (found["step"], found["steps_per_epoch"]) == (step, now)
    assert found["epoch_sums"]["loss_sum"] == (3 if now == 4 else 0)
    assert ("beginning of epoch 1" in caplog.text) == (now != 4)


def test_another_head_is_refused_with_the_tensors_named(tmp_path):
    state = load_checkpoint(checkpoint(tmp_path / "four"))
    config = settings(*TINY)
    arguments = (None, config, Job(0, 1, 1, torch.device("cpu")))
    initial_network(*arguments, 4, state)
    with pytest.raises(CheckpointError, match=r"head.weight \(4, 512\) -> \(3, 512\), 2 tensors .* --fine_tune"):
        initial_network(*arguments, 3, state)


@pytest.mark.parametrize("split", ["training", "validation"])
def test_a_list_that_changed_is_refused(split):
    first, *rest = CLIPS[split]
    for members in (rest, [*rest, first], [first._replace(label=1), *rest], [first._replace(id="x"), *rest]):
        said = resume_problems(settings(), settings(), CLIPS | {split: members})
        assert f"  {split} list: 4 clips, SHA-256 " in said
    moved = [clip._replace(path=f"elsewhere/{clip.path}") for clip in CLIPS[split]]
    assert resume_problems(settings(), settings(), CLIPS | {split: moved}) == ""


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
    done = run("-m", "tsam_dali.train", *command("endless", "--set", "optimizer_param.lr=1e30"))
    assert done.returncode == 2, done.stderr
    assert re.search(r"is not finite; its clips: train.*\. Look at them, .* the checkpoint of step 1 is", done.stderr)
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
    "training": ("tsam_dali.training.engine.clip_losses", 6, 6, 1),
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
