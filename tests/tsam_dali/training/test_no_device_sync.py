"""The loop of training never makes the device wait: nothing is moved to the host between two records of the log."""

import ast
from collections import Counter
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.training.overhead import bare_steps
from benchmarks.training.trainer import Network, make_train_state, synthetic_batch
from pipelines.dali.color_jitter import change_look
from pipelines.dali.vary import vary
from pipelines.sampling.variation import OPERATIONS, Erased, Operation, Span, Variation, strength
from tests.helpers.networks import one_thread, settings
from tests.helpers.processes import ROOT
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


WAITING = {"item", "tolist", "cpu", "numpy", "nonzero", "synchronize"}
"""Methods for which the host waits for the GPU, if the tensor is there."""
ALLOWED = {
    "tsam_dali/training/compiled.py": {"_wait"},  # twice, with the first batch
    "tsam_dali/training/metrics.py": {"result", "read", "accuracies"},  # once an epoch
    "tsam_dali/training/tasks.py": {"found", "expected"},  # of evaluations, on the host
    "tsam_dali/training/nan_guard.py": {"_check"},  # for the step before the last; and where a step is not finite
    "tsam_dali/runs/step_hook.py": {"record"},  # every log_steps
    "tsam_dali/distributed.py": {"start_totals", "result", "on_every_machine"},  # of numbers on the host, by gloo
    "pipelines/batches.py": {"_to_batch"},  # of what the graph leaves on the host
    "pipelines/dali/spot_check.py": {"start", "_compare"},  # as well; in a thread of its own
    "pipelines/dali/color_jitter.py": {"change_look", "change_colors_on_cpu", "change_colors_on_gpu"},  # as well
}
OF_A_STEP = [
    *("tsam_dali/training/*.py", "tsam_dali/runs/step_hook.py", "tsam_dali/runs/run.py", "tsam_dali/distributed.py"),
    *(
        "tsam_dali/model/*.py",
        "pipelines/batches.py",
        "pipelines/dali_loader.py",
        "pipelines/dali/color_jitter.py",
        "pipelines/dali/outputs.py",
        "pipelines/dali/spot_check.py",
        "pipelines/dali/vary.py",
        "pipelines/dali/rand_augment.py",
    ),
]


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
        training = {"log_steps": LOG_STEPS, "compile": "false"} | options
        changes = [f"training_param.{key}={value}" for key, value in training.items()]
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


OPTIONS = [{}, {"accumulate": 2}, {"mixup": 0.2, "ema_decay": 0.9, "class_weights": "balanced"}, {"cutmix": 1.0}]


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


def waiting_functions(code: str) -> set[str]:
    """Functions that call what waits for a GPU, each by its own name."""
    found = set()
    for function in ast.walk(ast.parse(code)):
        if isinstance(function, ast.FunctionDef):
            calls = [node.func for node in ast.walk(function) if isinstance(node, ast.Call)]
            if any(isinstance(call, ast.Attribute) and call.attr in WAITING for call in calls):
                found.add(function.name)
    return found


def test_no_other_function_of_a_step_reads_from_the_device():
    paths = [path for pattern in OF_A_STEP for path in ROOT.glob(pattern)]
    assert len(paths) >= len(OF_A_STEP)
    found = {str(path.relative_to(ROOT)): waiting_functions(path.read_text()) for path in paths}
    assert {name: functions for name, functions in found.items() if functions} == ALLOWED


@pytest.mark.parametrize("line", ["loss.item()", "x = [loss.tolist()]", "print(batch.label.cpu())"])
def test_a_read_is_seen(line):
    assert waiting_functions(f"def step(loss, batch):\n    {line}\n    return loss.sum()") == {"step"}


@pytest.mark.gpu
@pytest.mark.parametrize("options", OPTIONS)
def test_no_step_waits_for_the_gpu(tmp_path, options):
    """CUDA itself says so: what would make the host wait is an error."""
    trainer = Trainer(tmp_path, "cuda:0", **options)
    trainer.steps(LOG_STEPS)
    with no_waiting():
        trainer.steps(LOG_STEPS - 1)


@pytest.mark.gpu
def test_no_change_of_colors_waits_for_the_gpu():
    video = torch.rand(3, 2, 3, 32, 32, device="cuda:0")
    look = torch.tensor(
        [[*(1.1, 0.9, 1.2, 18, grey), *(3, 1, 0, 2), sigma] for grey, sigma in ((0, 0), (0, 1), (1, 2))]
    )
    change_look(video, look)
    with no_waiting():
        change_look(video, look)


VARIED = [
    Variation(
        operations=tuple(Operation(kind, strength(kind, 7.0)) for kind in OPERATIONS),
        erased=Erased(Span(0.1, 0.3), Span(0.2, 0.3), (0.1, 0.2, 0.3)),
        bands=(Span(0.1, 0.2),),
        times=(Span(0.1, 0.2),),
    ),
    Variation(silenced="frames"),
    Variation(silenced="audio"),
]


def test_no_variation_is_read():
    video, audio = torch.rand(3, 2, 3, 32, 32), torch.rand(3, 1, 3, 32, 32)
    with Reads() as reads:
        vary(video, audio, VARIED, silence=-1.0)
    assert not reads.found


@pytest.mark.gpu
def test_no_variation_waits_for_the_gpu():
    video, audio = torch.rand(3, 2, 3, 32, 32), torch.rand(3, 1, 3, 32, 32)
    on_gpu = video.to("cuda:0"), audio.to("cuda:0")
    vary(*(tensor.clone() for tensor in on_gpu), VARIED, silence=-1.0)
    with no_waiting():
        vary(*on_gpu, VARIED, silence=-1.0)
    vary(video, audio, VARIED, silence=-1.0)
    for found, expected in zip(on_gpu, (video, audio), strict=True):
        torch.testing.assert_close(found.cpu(), expected, atol=0.02, rtol=0)


@contextmanager
def no_waiting():
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")
