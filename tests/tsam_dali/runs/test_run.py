"""What a run keeps and says at its end, and what it catches up when it goes on. No network is needed for that."""

import json
from contextlib import ExitStack, suppress
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from pipelines.dataset.clips import Clip
from pipelines.loader import Batch, Loader
from pipelines.sampling.variation import Variation
from tests.helpers.networks import settings
from tsam_dali.runs import metrics_log
from tsam_dali.runs.folder import RunFolder
from tsam_dali.runs.metrics_log import read_records
from tsam_dali.runs.report import keep_inputs
from tsam_dali.runs.run import Run
from tsam_dali.runs.signals import Interrupted, StopRequest
from tsam_dali.training.nan_guard import NonFiniteError
from tsam_dali.training.task import ClassTask
from tsam_dali.weights.checkpoint import load_checkpoint


class Tracker:
    """Notes what status.json says when it is closed."""

    def __init__(self, folder):
        self.folder, self.told, self.found = folder, [], None

    def scalars(self, values, step):
        self.told.append(step)

    def image(self, *_):
        pass

    def close(self):
        self.found = json.loads((self.folder / "status.json").read_text())["state"]

    def wait(self, ends):
        pass


def record(epoch, accuracy):
    scores = {"loss": 1.0, "accuracy": accuracy, "balanced_accuracy": accuracy, "samples": 8}
    return {"epoch": epoch, "training": scores, "validation": scores, "lr": 0.1}


@pytest.fixture
def begin(tmp_path, monkeypatch):
    """A run in a folder of its own, from a checkpoint's state if there is one."""
    config = settings(f"results_folder={tmp_path}", "save_epoch=[0, 2]")
    tracker = Tracker(tmp_path / "run")
    monkeypatch.setattr(metrics_log, "start_trackers", lambda *_: [tracker])

    used = ExitStack()

    def begin(step=0, state=None):
        used.close()  # what went before has ended
        folder = used.enter_context(RunFolder(config, "run"))
        folder.create(config, state)
        network = SimpleNamespace(head=SimpleNamespace(out_features=2), buffers=list)
        sums = SimpleNamespace(reset=lambda: None, reduced=lambda: SimpleNamespace(state_dict=dict))
        train_state = SimpleNamespace(
            config=config,
            job=SimpleNamespace(is_main=True),
            step=step,
            network=network,
            metrics=sums,
            nan_guard=SimpleNamespace(flush=lambda: None),
            task=ClassTask(config.dataset.class_names),
        )
        train_state.state_dict = lambda: {"step": train_state.step}
        return Run(train_state, folder, {"training": [], "validation": []}, StopRequest(), state)

    begin.folder, begin.tracker = tmp_path / "run", tracker
    yield begin
    used.close()


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


@pytest.mark.parametrize(
    ("steps", "kept"), [(0, "there is no checkpoint yet"), (4, "the checkpoint of step 4 is from")]
)
def test_a_loss_that_is_not_finite_names_clips_and_what_is_kept(begin, steps, kept):
    run = begin(steps)
    run.clips["training"] = [Clip(f"clip{row}", 0, "", 1, 1, 1, "") for row in range(100)]
    if steps:
        run.save()
    with (
        pytest.raises(NonFiniteError, match=rf"^odd; its clips: clip9, clip7\. Inspect them, .*; {kept}"),
        run.reported(),
    ):
        raise NonFiniteError("odd", [9, 7])
    assert "clip9" in json.loads((begin.folder / "status.json").read_text())["reason"]
    with pytest.raises(NonFiniteError, match="clip15, ... and 84 more. Inspect them"), run.reported():
        raise NonFiniteError("odd", range(100))


def end_epochs(run, accuracies):
    for epoch, accuracy in enumerate(accuracies, len(run.history)):
        run.train_state.step += 4
        run.end_epoch(record(epoch, accuracy), last=False)


def test_what_a_kill_cut_off_at_the_end_of_an_epoch_is_caught_up(begin):
    run = begin()
    end_epochs(run, [0.25, 0.5])
    checkpoints = begin.folder / "checkpoints"
    whole = {path: path.read_bytes() for path in (begin.folder / "metrics.jsonl", begin.folder / "result.json")}
    run.folder.checkpoints.keep_as(4, ["unbalanced_best"])
    for name in ("epoch_2", "epoch_2.sha256", "balanced_best"):
        (checkpoints / name).unlink()
    (begin.folder / "metrics.jsonl").write_text(json.dumps({"kind": "epoch", **record(0, 0.25), "step": 4}) + "\n")
    (begin.folder / "result.json").write_text("{}")
    state = load_checkpoint(checkpoints / "latest")
    begin.tracker.told.clear()
    begin(8, state).catch_up()
    for name in ("unbalanced_best", "balanced_best", "epoch_2"):
        assert load_checkpoint(checkpoints / name, digest_needed=True)["step"] == 8
    assert [(line["epoch"], line["step"]) for line in read_records(begin.folder / "metrics.jsonl")] == [(0, 4), (1, 8)]
    assert json.loads((begin.folder / "result.json").read_text()) == json.loads(whole[begin.folder / "result.json"])
    assert begin.tracker.told == [8]


def test_save_epoch_counts_the_epochs_that_are_done(begin):
    run = begin()
    run.keep_untrained()
    end_epochs(run, [0.25, 0.5, 0.5])
    checkpoints = run.folder.checkpoints
    assert {name: checkpoints.step_of(f"epoch_{name}") for name in range(4)} == {0: 0, 1: -1, 2: 8, 3: -1}
    run.keep_untrained()  # as where a run goes on
    assert checkpoints.step_of("epoch_0") == 0


def test_a_run_that_goes_back_leaves_a_better_checkpoint_its_name(begin):
    run = begin()
    end_epochs(run, [0.25])
    first = load_checkpoint(begin.folder / "checkpoints/latest")
    end_epochs(run, [0.25, 0.5])
    begin(4, first).catch_up()
    assert run.folder.checkpoints.step_of("unbalanced_best") == 12
    assert [line["step"] for line in read_records(begin.folder / "metrics.jsonl")] == [4]


def test_inside_an_epoch_no_checkpoint_is_the_best(begin):
    run = begin()
    end_epochs(run, [0.25])
    run.train_state.step = 5
    run.save()
    begin(5, load_checkpoint(begin.folder / "checkpoints/latest")).catch_up()
    assert run.folder.checkpoints.step_of("unbalanced_best") == 4


def test_results_that_cannot_be_written_do_not_end_a_run(begin, caplog):
    for name in ("result.json", "curves.png"):
        (begin.folder / name).mkdir(parents=True)  # in its place, as a full disk cannot be had here
    run = begin()
    end_epochs(run, [0.25])
    run.draw_curves()
    assert "the results could not be written" in caplog.text
    assert "curves.png could not be written" in caplog.text
    assert run.history


def _rank(rank, address, cases):
    """Agree on each case's bad clips, in turn; `cases`: rows of each rank."""
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    run = SimpleNamespace(stop=SimpleNamespace(by="SIGTERM" if rank else ""))
    source = SimpleNamespace(clips=[SimpleNamespace(id=f"clip{row}") for row in range(4)])
    loader = Loader(source, device=torch.device("cpu"), max_bad_fraction=0.5)
    try:
        for bad in cases:
            loader.bad = {row: f"odd {row}" for row in bad[rank]}
            asked = [Run.ask(run, loader, due=not rank) for _ in range(2)]
            assert [answer() for answer in asked] == [(True, True)] * 2, bad
    finally:
        dist.destroy_process_group()


def test_bad_clips_of_all_ranks_count_together_and_once(tmp_path):
    few, many = [[0, 1], [1, 0]], [[0], [1, 2]]
    with pytest.raises(Exception, match=r"LoaderError: 3 of 4 clips could not be read.*clip2: odd 2"):
        mp.spawn(_rank, (f"file://{tmp_path / 'meeting'}", [few, many]), nprocs=2)


def test_a_picture_that_cannot_be_written_does_not_end_a_run(tmp_path, caplog):
    clip = SimpleNamespace(id="a", label=0)
    folder = SimpleNamespace(inputs=tmp_path / "nowhere" / "inputs.png")
    train_state = SimpleNamespace(task=ClassTask(["cat"]))
    run = SimpleNamespace(inputs=[], clips={"training": [clip]}, train_state=train_state, folder=folder)
    order = SimpleNamespace(position=lambda step, place: None)
    source = SimpleNamespace(plan=lambda position: None, variation=lambda position: Variation(), order=order)
    batch = Batch(torch.zeros(1, 2, 3, 8, 8), None, *torch.zeros(2, 1, dtype=torch.int64), torch.ones(1))
    keep_inputs(run, SimpleNamespace(source=source), 0, batch)
    assert "inputs.png could not be written (FileNotFoundError" in caplog.text
    assert len(run.inputs) == 1
