"""What a run keeps and says at its end, and what it catches up when it goes on. No network is needed for that."""

import json
from contextlib import suppress
from types import SimpleNamespace

import pytest

from tests.networks import settings
from tsam_dali import run_log
from tsam_dali.interruption import Interrupted, StopRequest
from tsam_dali.run import Run
from tsam_dali.run_folder import RunFolder


class Tracker:
    """Notes what status.json says when it is closed."""

    def __init__(self, folder):
        self.folder, self.told, self.found = folder, [], None

    def scalars(self, values, step):
        self.told.append(step)

    def picture(self, *_):
        pass

    def close(self):
        self.found = json.loads((self.folder / "status.json").read_text())["state"]

    def wait(self, ends):
        pass


@pytest.fixture
def begin(tmp_path, monkeypatch):
    """A run in a folder of its own, from a checkpoint's state if there is one."""
    config = settings(f"results_folder={tmp_path}", "save_epoch=[1]")
    tracker = Tracker(tmp_path / "run")
    monkeypatch.setattr(run_log, "start_trackers", lambda *_: [tracker])

    def begin(step=0, state=None):
        folder = RunFolder(config, "run")
        folder.create(config, state)
        network = SimpleNamespace(head=SimpleNamespace(out_features=2), buffers=list)
        sums = SimpleNamespace(reset=lambda: None, reduced=lambda: SimpleNamespace(state_dict=dict))
        learner = SimpleNamespace(
            config=config,
            job=SimpleNamespace(is_main=True),
            step=step,
            network=network,
            metrics=sums,
            finite=SimpleNamespace(flush=lambda: None),
        )
        learner.state_dict = lambda: {"step": learner.step}
        return Run(learner, folder, {}, StopRequest(), state)

    begin.folder, begin.tracker = tmp_path / "run", tracker
    return begin


@pytest.mark.parametrize(
    ("end", "state"), [(None, "finished"), (Interrupted("SIGTERM"), "preempted"), (ValueError("odd"), "failed")]
)
def test_status_is_written_before_trackers_are_waited_for(begin, end, state):
    run = begin()
    with suppress(Interrupted, ValueError), run.reported():
        assert json.loads((begin.folder / "status.json").read_text())["state"] == "running"
        if end:
            raise end
    assert begin.tracker.found == state
