"""The loop of training never makes the device wait: nothing is moved to the host between two records of the log."""

from collections import Counter
from types import SimpleNamespace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.training.overhead import bare_steps
from benchmarks.training.trainer import Network, make_train_state, synthetic_batch
from tests.helpers.networks import one_thread, settings
from tsam_dali.runs.folder import RunFolder
from tsam_dali.runs.run import Run
from tsam_dali.runs.signals import StopRequest
from tsam_dali.runs.step_hook import StepHook
from tsam_dali.training.engine import train_one_epoch
from tsam_dali.training.nan_guard import NanGuard
from tsam_dali.training.progress import Progress

__all__ = ["one_thread"]  # a fixture

LOG_STEPS = 4
RECORD = 2
"""Reads of a record of the log: the sums over its steps, loss and clips, as one list; the gradient's norm."""


class Reads(TorchDispatchMode):
    """Counts what reads the value of a tensor: item, tolist, bool, copies to another device."""

    def __init__(self):
        super().__init__()
        self.found = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket._qualified_op_name
        source = next((arg.device for arg in args if isinstance(arg, torch.Tensor)), None)
        moved = name == "aten::_to_copy" and (kwargs or {}).get("device", source) != source
        if name == "aten::_local_scalar_dense" or moved:
            self.found[name] += 1
        return function(*args, **(kwargs or {}))


class Trainer:
    """Training as `tsam_dali.train` does it, on one synthetic batch, with an optimizer that reads nothing itself."""

    def __init__(self, folder, device="cpu", **options):
        changes = [f"training_param.{key}={value}" for key, value in ({"log_steps": LOG_STEPS} | options).items()]
        sizes = ["model.video_segments=2", "training_param.batch_size=2", f"results_folder={folder}"]
        config = settings("model.arch=resnet10t", "optimizer_param.name=sgd", *sizes, *changes)
        self.batch = synthetic_batch(config, 32, device)
        self.train_state = make_train_state(config, Network(config.model.arch, 1, device, 1))
        place = RunFolder(config, "run")
        place.create(config, None)
        self.run = Run(self.train_state, place, {"training": [], "validation": []}, StopRequest(), None)

    def steps(self, count):
        progress = Progress([self.batch] * count, "", clips_per_step=2, show=False)
        loader = SimpleNamespace(bad={}, most_bad=0)
        train_one_epoch(self.train_state, progress, StepHook(self.run, loader, progress, epoch=0))


@pytest.fixture
def no_finite_check(monkeypatch):
    monkeypatch.setattr(NanGuard, "add", lambda *_: None)


OPTIONS = [{}, {"accumulate": 2}, {"mixup": 0.2, "ema_decay": 0.9, "class_weights": "balanced"}]


@pytest.mark.parametrize("options", OPTIONS)
def test_between_two_records_nothing_is_read(tmp_path, no_finite_check, options):
    trainer = Trainer(tmp_path, **options)
    trainer.steps(LOG_STEPS)
    with Reads() as reads:
        trainer.steps(LOG_STEPS - 1)
    assert not reads.found


def test_a_record_reads_once(tmp_path, no_finite_check):
    trainer = Trainer(tmp_path)
    with Reads() as reads:
        trainer.steps(LOG_STEPS)
    few = sum(reads.found.values())
    with Reads() as reads:
        trainer.steps(3 * LOG_STEPS)
    assert sum(reads.found.values()) == 3 * few
    assert few <= RECORD + 1


def test_the_check_for_numbers_reads_the_step_before(tmp_path):
    """One look at a scalar that was copied to the host a step ago, and no other."""
    trainer = Trainer(tmp_path, log_steps=1000)
    with Reads() as reads:
        trainer.steps(5)
    assert reads.found == {"aten::_local_scalar_dense": 4}


def test_the_bare_step_trains_alike(tmp_path):
    """What the benchmark takes for the floor does what a step of the trainer does."""
    ours, other = (Trainer(tmp_path / name, amp="off") for name in "ab")
    for trainer in (ours, other):
        trainer.train_state.network.eval()  # dropout is drawn anew in each step
    ours.steps(2)
    bare_steps(other.train_state, other.batch, 2)
    for a, b in zip(ours.train_state.network.parameters(), other.train_state.network.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.parametrize("options", OPTIONS)
def test_no_step_waits_for_the_gpu(tmp_path, options):
    """CUDA itself says so: what would make the host wait is an error."""
    trainer = Trainer(tmp_path, "cuda:0", **options)
    trainer.steps(LOG_STEPS)
    torch.cuda.set_sync_debug_mode("error")
    try:
        trainer.steps(LOG_STEPS - 1)
    finally:
        torch.cuda.set_sync_debug_mode("default")
