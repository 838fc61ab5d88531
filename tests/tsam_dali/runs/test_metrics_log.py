"""What a run says of itself survives a restart, numbers that JSON does not know, and trackers that fail."""

import json
import logging
import sys
import threading
import time
import types

import numpy as np
import pytest
from PIL import Image

from tsam_dali.config.load import config_from_dict
from tsam_dali.runs import trackers
from tsam_dali.runs.metrics_log import RunLog, read_records
from tsam_dali.runs.trackers import close_trackers, start_trackers

SCORES = {"loss": 1.0, "accuracy": 0.5, "balanced_accuracy": 0.4, "samples": 8}


def settings(names=(), dataset="x"):
    lists = {"file_train_list": "training.txt", "file_val_list": "validation.txt"}
    return config_from_dict(
        {"dataset": {"name": dataset, "data_dir": "data", **lists}, "training_param": {"trackers": list(names)}}
    )


def window(step, **changed):
    figures = {
        "loss": 1.5,
        "lr": 0.1,
        "clips_per_second": 9.0,
        "data_wait": 0.1,
        "gradient_norm": 2.0,
        "memory_mb": 7.0,
    }
    return {"step": step, "epoch": 0, **figures, **changed}


def epoch(number, step):
    throughput = {"lr": 0.1, "clips_per_second": 9.0, "data_wait": 0.1}
    return {"epoch": number, "step": step, "training": SCORES, "validation": SCORES, **throughput}


def steps_of(folder):
    return [(record["kind"], record["step"]) for record in read_records(folder / "metrics.jsonl")]


def test_a_resumed_run_drops_what_is_trained_again(tmp_path):
    log = RunLog(tmp_path, first_step=0, config=settings(), trackers=[])
    for step in (5, 10, 15):
        log.steps(window(step))
    log.epoch(epoch(0, 15))
    log.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "steps", "st')  # killed while writing
    log = RunLog(tmp_path, first_step=10, config=settings(), trackers=[])
    assert steps_of(tmp_path) == [("steps", 5), ("steps", 10)]
    log.steps(window(15))
    log.close()
    assert steps_of(tmp_path) == [("steps", 5), ("steps", 10), ("steps", 15)]
    RunLog(tmp_path, first_step=0, config=settings(), trackers=[]).close()
    assert steps_of(tmp_path) == []
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_lines_are_json_whatever_the_numbers(tmp_path):
    log = RunLog(tmp_path, first_step=0, config=settings(), trackers=[])
    log.steps(window(5, gradient_norm=float("inf")))
    log.close()
    line = (tmp_path / "metrics.jsonl").read_text()
    assert "Infinity" not in line
    assert json.loads(line) == {"kind": "steps", **window(5, gradient_norm=None)}


def test_tensorboard_has_scalars_and_pictures(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    Image.new("RGB", (8, 4), (255, 0, 0)).save(tmp_path / "red.png")
    first = RunLog(tmp_path, first_step=0, config=settings())
    for step in (5, 10, 15):
        first.steps(window(step))
    first.close()
    second = RunLog(tmp_path, first_step=10, config=settings())
    second.steps(window(20, loss=0.5))
    second.epoch(epoch(1, 20))
    second.image("inputs", tmp_path / "red.png")
    second.close()
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("steps/loss")] == [(5, 1.5), (10, 1.5), (20, 0.5)]
    assert events.Scalars("epoch/validation/accuracy")[0].value == 0.5
    assert (events.Images("inputs")[0].width, events.Images("inputs")[0].height) == (8, 4)


class Broken(types.ModuleType):
    """A module of which every attribute is a function that fails."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)

        def fail(*_args, **_options):
            raise ConnectionError(f"no network for {name}")

        return fail


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
@pytest.mark.parametrize("missing", [True, False])
def test_a_tracker_that_fails_or_is_missing_is_one_warning(tmp_path, monkeypatch, caplog, name, missing):
    monkeypatch.setitem(sys.modules, name, None if missing else Broken(name))
    with caplog.at_level(logging.WARNING):
        tracker = start_trackers(tmp_path, 0, settings([name]))[-1]
        for step in range(3):
            tracker.scalars({"loss": 1.0}, step)
        tracker.image("inputs", tmp_path / "none.png", 3)
        close_trackers([tracker])
    messages = [record.message for record in caplog.records if record.message.startswith(name)]
    assert len(messages) == 1
    assert ("not installed" in messages[0]) == missing


def test_a_tracker_that_fails_later_is_silent_from_then_on(tmp_path, monkeypatch, caplog):
    calls = []

    class Run:
        def log(self, values, step):
            calls.append(step)
            if step == 2:
                raise OSError("connection lost")

    fake = types.ModuleType("wandb")
    fake.init = lambda **options: Run()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    tracker = start_trackers(tmp_path, 0, settings(["wandb"]))[-1]
    for step in range(1, 5):
        tracker.scalars({"loss": np.float64(1.0)}, step)
    close_trackers([tracker])
    assert calls == [1, 2]
    assert caplog.text.count("connection lost") == 1


def test_trackers_that_hang_cost_a_run_a_moment_at_its_end(tmp_path, monkeypatch, caplog):
    """They are waited for side by side."""
    fake = types.ModuleType("wandb")
    fake.init = lambda **options: threading.Event().wait()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.setattr(trackers, "CLOSE_SECONDS", 0.5)
    monkeypatch.setattr(trackers, "MOST_WAITING", 3)
    hanging = [start_trackers(tmp_path, 0, settings(["wandb"]))[-1] for _ in range(20)]
    for step in range(10):
        hanging[0].scalars({"loss": 1.0}, step)
    begin = time.monotonic()
    close_trackers(hanging)
    assert time.monotonic() - begin < 5
    assert caplog.text.count("wandb does not respond") == 20


def test_a_full_disk_does_not_stop_the_log(tmp_path, monkeypatch, caplog):
    log = RunLog(tmp_path, first_step=0, config=settings(), trackers=[])
    log.steps(window(5))
    file = log._file
    log._file = open("/dev/full", "wb", buffering=0)  # noqa: SIM115
    log.steps(window(10))
    log._file = file
    log.steps(window(15))
    log.close()
    assert steps_of(tmp_path) == [("steps", 5), ("steps", 15)]
    assert "step 10 is missing in /dev/full" in caplog.text


@pytest.mark.parametrize(("dataset", "experiment"), [("x", "x"), ("", "tsam_dali")])
def test_a_resumed_run_goes_on_with_its_run_of_mlflow(tmp_path, monkeypatch, dataset, experiment):
    started, experiments, chosen = [], {}, []
    fake = types.ModuleType("mlflow")
    for name in ("set_tracking_uri", "log_dict", "end_run"):
        setattr(fake, name, lambda *_: None)
    fake.set_experiment = chosen.append
    fake.get_experiment_by_name = experiments.get
    fake.create_experiment = lambda name, artifact_location: experiments.update({name: artifact_location})

    def start_run(run_id, run_name):
        started.append((run_id, run_name))
        return types.SimpleNamespace(info=types.SimpleNamespace(run_id=run_id or "new"))

    fake.start_run = start_run
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    for first_step in (0, 5):
        close_trackers(start_trackers(tmp_path, first_step, settings(["mlflow"], dataset)))
    assert chosen == [experiment] * 2
    assert started == [(None, tmp_path.name), ("new", tmp_path.name)]
    assert experiments == {experiment: (tmp_path / "mlflow_files").as_uri()}
