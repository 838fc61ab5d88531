"""One step of training: parts add up to the whole, and what is not ok changes nothing."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from pipelines.loader import Batch
from tsam_dali.config.load import Config, config_from_dict
from tsam_dali.distributed import Job
from tsam_dali.runs.step_hook import StepHook
from tsam_dali.training.engine import train_one_epoch
from tsam_dali.training.loss import class_weights
from tsam_dali.training.nan_guard import NanGuard, NonFiniteError
from tsam_dali.training.progress import Progress
from tsam_dali.training.state import build_train_state

JOB = Job(0, 1, 1, torch.device("cpu"))


class Network(nn.Module):
    """Video (B, 2, 3, 4, 4) -> logits (B, 3); no BatchNorm, so that parts of a batch are independent."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.head = nn.Linear(96, 3)

    def forward(self, video, audio):
        return self.head(video.flatten(1))


def settings(**training) -> Config:
    training = {"amp": "off", "batch_size": 6, **training}
    return config_from_dict({"dataset": {"data_dir": "."}, "training_param": training, "optimizer_param": {"gd": 0}})


def batch(size=6, bad=()):
    generator = torch.Generator().manual_seed(1)
    ok = torch.tensor([i not in bad for i in range(size)])
    video = torch.randn(size, 2, 3, 4, 4, generator=generator)
    return Batch(video, None, torch.arange(size) % 3, torch.arange(size), ok)


def weights_after(batches, config):
    network = Network()
    train_state = build_train_state(network, config, JOB, steps_per_epoch=len(batches))
    assert train_one_epoch(train_state, Progress(batches, "", clips_per_step=6, show=False), lambda step: False)
    return network.head.weight.detach(), train_state.metrics.result()


@pytest.mark.parametrize("parts", [2, 3])
def test_accumulated_parts_step_like_one_batch(parts):
    whole, result = weights_after([batch()], settings())
    in_parts, result_in_parts = weights_after([batch()], settings(accumulate=parts))
    assert not torch.equal(whole, Network().head.weight)
    torch.testing.assert_close(in_parts, whole)
    assert result_in_parts["loss"] == pytest.approx(result["loss"])


def test_clips_that_are_not_ok_change_nothing():
    readable = batch()
    first_four = Batch(*(tensor[:4] if tensor is not None else None for tensor in readable))
    expected, result = weights_after([first_four], settings())
    spoiled = batch(bad=(4, 5))
    spoiled.video[4:] = 1e4
    found, result_of_spoiled = weights_after([spoiled], settings())
    torch.testing.assert_close(found, expected)
    assert result_of_spoiled == pytest.approx(result)  # processors may round otherwise for six clips than for four
    assert result["samples"] == 4
    found_unspoiled, result_of_unspoiled = weights_after([batch(bad=(4, 5))], settings())
    assert torch.equal(found, found_unspoiled)
    assert result_of_spoiled == result_of_unspoiled


def test_a_batch_without_any_readable_clip_is_no_step():
    found, result = weights_after([batch(bad=range(6))], settings())
    torch.testing.assert_close(found, Network().head.weight.detach() * (1 - 0.05 * 1e-4))  # weight decay alone
    assert result["samples"] == 0


def test_the_gradient_norm_is_limited():
    config = settings()
    limited = config_from_dict(config.to_dict() | {"optimizer_param": {"gd": 1e-3, "weight_decay": 0}})
    found, _ = weights_after([batch()], limited)
    moved = (found - Network().head.weight.detach()).norm()
    assert 0 < moved <= 0.05 * 1e-3 * 1.01  # rate times limit


def train_state_of(config, network=None):
    return build_train_state(network or Network(), config, JOB, steps_per_epoch=3)


def train(train_state, batches, after_step=lambda step: False):
    return train_one_epoch(train_state, Progress(batches, "", clips_per_step=6, show=False), after_step)


def test_the_loop_ends_where_it_is_told_to():
    train_state = train_state_of(settings())
    assert not train(train_state, [batch()] * 3, lambda step: train_state.step == 2)
    assert train_state.step == 2


def test_classes_are_weighted_as_torch_weights_them():
    weights = torch.tensor([1.0, 2.0, 5.0])
    train_state = build_train_state(Network(), settings(), JOB, steps_per_epoch=1, class_weights=weights)
    train(train_state, [batch()])
    network, data = Network(), batch()
    nn.functional.cross_entropy(network(data.video, None), data.label, weights).backward()
    expected = network.head.weight - 0.05 * (network.head.weight.grad + 1e-4 * network.head.weight)
    torch.testing.assert_close(train_state.network.head.weight, expected)


def test_balanced_weights_of_classes_with_and_without_clips():
    assert class_weights([0, 0, 0, 2], 3, "none") is None
    weights = class_weights([0, 0, 0, 2], 4, "balanced")
    torch.testing.assert_close(weights, torch.tensor([4 / (2 * 3), 1, 4 / (2 * 1), 1]))


@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 2.0, 5.0])])
def test_labels_are_smoothed_as_torch_smooths_them(weights):
    train_state = build_train_state(
        Network(), settings(label_smoothing=0.3), JOB, steps_per_epoch=1, class_weights=weights
    )
    train(train_state, [batch()])
    network, data = Network(), batch()
    nn.functional.cross_entropy(network(data.video, None), data.label, weights, label_smoothing=0.3).backward()
    expected = network.head.weight - 0.05 * (network.head.weight.grad + 1e-4 * network.head.weight)
    torch.testing.assert_close(train_state.network.head.weight, expected)


def test_the_average_follows_the_weights():
    train_state = train_state_of(settings(ema_decay=0.75))
    seen = []
    train(train_state, [batch()] * 3, lambda step: seen.append(train_state.network.head.weight.detach().clone()))
    expected = seen[0]
    for weight in seen[1:]:
        expected = 0.75 * expected + 0.25 * weight
    torch.testing.assert_close(train_state.averaged_network.head.weight, expected)
    assert not torch.equal(train_state.averaged_network.head.weight, train_state.network.head.weight)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_names_its_clips(value):
    spoiled = batch()
    spoiled.video[3] = value
    train_state = train_state_of(settings())
    with pytest.raises(NonFiniteError, match="the loss of step 1 is not finite$") as caught:
        train(train_state, [batch(), spoiled, batch()], watched(train_state))
    assert caught.value.rows == [3]
    assert train_state.step == 3


def test_beside_a_gpu_a_loss_that_is_not_finite_is_found_a_step_later():
    spoiled = batch()
    spoiled.video[3] = float("nan")
    train_state = train_state_of(settings())
    train_state.nan_guard = NanGuard(late=2)
    with pytest.raises(NonFiniteError, match="the loss of step 1 is not finite$") as caught:
        train(train_state, [batch(), spoiled, *[batch()] * 4], watched(train_state))
    assert caught.value.rows == [3]
    assert train_state.step == 4
    train_state = train_state_of(settings())
    train_state.nan_guard = NanGuard(late=2)
    train(train_state, [batch(), spoiled, batch()], watched(train_state))
    with pytest.raises(NonFiniteError, match="the loss of step 1 is not finite$"):  # before anything is saved
        train_state.nan_guard.flush()


def test_beside_a_gpu_a_step_is_told_what_the_ranks_said_at_the_one_before():
    """Nothing is saved twice for it, and nothing is lost."""
    train_state = train_state_of(settings())
    hook = watched(train_state)
    saved = [-1]
    hook._late = True
    hook._run.folder.checkpoints.due = lambda step: step >= saved[-1] + 3
    hook._run.save = lambda: saved.append(train_state.step)

    def ask(_loader, due):
        answer = train_state.step == 8, due
        return lambda: answer

    hook._run.ask = ask
    assert not train(train_state, [batch()] * 12, hook)
    assert saved == [-1, 3, 7]
    assert train_state.step == 9


def watched(train_state):
    """The trainer's `after_step`, of a run that is never stopped or saved."""
    folder = SimpleNamespace(checkpoints=SimpleNamespace(due=lambda step: False))
    run = SimpleNamespace(
        train_state=train_state, folder=folder, ask=lambda loader, due: lambda: (False, due), log_steps=lambda _: None
    )
    return StepHook(run, None, Progress([], "", clips_per_step=6, show=False), epoch=0)


@pytest.mark.parametrize("amp", ["off", "fp16"])
def test_a_state_goes_on_where_it_was(amp):
    config = settings(ema_decay=0.9, mixup=0.3, cutmix=1.0, amp=amp)
    batches = [batch(), batch(bad=(1,)), batch()]
    batches[0].video[2] = 1e5 if amp == "fp16" else 1  # more than fp16 holds: the step is skipped, the scale halved
    whole = train_state_of(config)
    train(whole, batches)
    first = train_state_of(config)
    train(first, batches[:2])
    state = first.state_dict() | {"epoch_sums": first.metrics.state_dict(), "config": config.to_dict()}
    second = build_train_state(Network(), config, JOB, steps_per_epoch=3, state=state)
    second.network.load_state_dict(state["model"])
    train(second, batches[2:])
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, second.network.state_dict()[name])
        assert torch.equal(whole.ema.module.state_dict()[name], second.ema.module.state_dict()[name])
    assert torch.equal(whole.metrics.confusion, second.metrics.confusion)
    assert (second.step, second.rate) == (whole.step, whole.rate)
    assert second.scaler.state_dict() == whole.scaler.state_dict()
    assert second.scaler.get_scale() == (32768 if amp == "fp16" else 1)
