"""One step of training: parts add up to the whole, and what is not ok changes nothing."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from pipelines.loader import Batch
from tsam_dali.config.load import Config, config_from_dict
from tsam_dali.distributed import Job
from tsam_dali.runs.step_hook import Watch
from tsam_dali.training.engine import train_one_epoch
from tsam_dali.training.loss import class_weights
from tsam_dali.training.nan_guard import MOST_SKIPPED, NonFiniteError
from tsam_dali.training.progress import Progress
from tsam_dali.training.state import build_learner

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
    learner = build_learner(network, config, JOB, steps_per_epoch=len(batches))
    assert train_one_epoch(learner, Progress(batches, "", clips_per_step=6, show=False), lambda step: False)
    return network.head.weight.detach(), learner.metrics.result()


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


def learner_of(config, network=None):
    return build_learner(network or Network(), config, JOB, steps_per_epoch=3)


def train(learner, batches, after_step=lambda step: False):
    return train_one_epoch(learner, Progress(batches, "", clips_per_step=6, show=False), after_step)


def test_the_loop_ends_where_it_is_told_to():
    learner = learner_of(settings())
    assert not train(learner, [batch()] * 3, lambda step: learner.step == 2)
    assert learner.step == 2


def test_classes_are_weighted_as_torch_weights_them():
    weights = torch.tensor([1.0, 2.0, 5.0])
    learner = build_learner(Network(), settings(), JOB, steps_per_epoch=1, class_weights=weights)
    train(learner, [batch()])
    network, data = Network(), batch()
    nn.functional.cross_entropy(network(data.video, None), data.label, weights).backward()
    expected = network.head.weight - 0.05 * (network.head.weight.grad + 1e-4 * network.head.weight)
    torch.testing.assert_close(learner.network.head.weight, expected)


def test_balanced_weights_of_classes_with_and_without_clips():
    assert class_weights([0, 0, 0, 2], 3, "none") is None
    weights = class_weights([0, 0, 0, 2], 4, "balanced")
    torch.testing.assert_close(weights, torch.tensor([4 / (2 * 3), 1, 4 / (2 * 1), 1]))


@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 2.0, 5.0])])
def test_labels_are_smoothed_as_torch_smooths_them(weights):
    learner = build_learner(Network(), settings(label_smoothing=0.3), JOB, steps_per_epoch=1, class_weights=weights)
    train(learner, [batch()])
    network, data = Network(), batch()
    nn.functional.cross_entropy(network(data.video, None), data.label, weights, label_smoothing=0.3).backward()
    expected = network.head.weight - 0.05 * (network.head.weight.grad + 1e-4 * network.head.weight)
    torch.testing.assert_close(learner.network.head.weight, expected)


def test_the_average_follows_the_weights():
    learner = learner_of(settings(ema_decay=0.75))
    seen = []
    train(learner, [batch()] * 3, lambda step: seen.append(learner.network.head.weight.detach().clone()))
    expected = seen[0]
    for weight in seen[1:]:
        expected = 0.75 * expected + 0.25 * weight
    torch.testing.assert_close(learner.averaged_network.head.weight, expected)
    assert not torch.equal(learner.averaged_network.head.weight, learner.network.head.weight)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_names_its_clips(value):
    spoiled = batch()
    spoiled.video[3] = value
    learner = learner_of(settings())
    with pytest.raises(NonFiniteError, match="the loss of step 1 is not finite$") as caught:
        train(learner, [batch(), spoiled, batch()], watched(learner))
    assert caught.value.rows == [3]
    assert learner.step == 3


def test_fp16_steps_like_float32():
    expected, _ = weights_after([batch()] * 3, settings())
    found, _ = weights_after([batch()] * 3, settings(amp="fp16"))
    assert not torch.equal(found, expected)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)


def watched(learner):
    """The trainer's `after_step`, of a run that is never stopped or saved."""
    folder = SimpleNamespace(checkpoints=SimpleNamespace(due=lambda step: False))
    run = SimpleNamespace(
        learner=learner, folder=folder, agree=lambda loader, due: (False, due), log_steps=lambda figures: None
    )
    return Watch(run, None, Progress([], "", clips_per_step=6, show=False), epoch=0)


def test_fp16_skips_a_step_that_is_not_finite():
    spoiled = batch()
    spoiled.video[3] = float("inf")
    learner = learner_of(settings(amp="fp16"))
    train(learner, [spoiled] * MOST_SKIPPED + [batch(), *[spoiled] * MOST_SKIPPED], watched(learner))
    learner.finite.flush()
    assert learner.scaler.get_scale() == 65536 * 0.5 ** (2 * MOST_SKIPPED)
    once, _ = weights_after([batch()], settings(amp="fp16"))
    torch.testing.assert_close(learner.network.head.weight.detach(), once)


def test_fp16_stops_where_every_step_is_skipped():
    spoiled = batch()
    spoiled.video[3] = float("nan")
    learner = learner_of(settings(amp="fp16"))
    with pytest.raises(NonFiniteError, match=rf"step {MOST_SKIPPED} is not finite, as in the {MOST_SKIPPED}") as caught:
        train(learner, [spoiled] * 2 * MOST_SKIPPED, watched(learner))
    assert caught.value.rows == [3]
    assert torch.equal(learner.network.head.weight, Network().head.weight)


@pytest.mark.parametrize("amp", ["off", "fp16"])
def test_a_state_goes_on_where_it_was(amp):
    config = settings(ema_decay=0.9, mixup=0.3, amp=amp)
    batches = [batch(), batch(bad=(1,)), batch()]
    batches[0].video[2] = 1e5 if amp == "fp16" else 1  # more than fp16 holds: the step is skipped, the scale halved
    whole = learner_of(config)
    train(whole, batches)
    first = learner_of(config)
    train(first, batches[:2])
    state = first.state_dict() | {"epoch_sums": first.metrics.state_dict(), "config": config.to_dict()}
    second = build_learner(Network(), config, JOB, steps_per_epoch=3, state=state)
    second.network.load_state_dict(state["model"])
    train(second, batches[2:])
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, second.network.state_dict()[name])
        assert torch.equal(whole.ema.module.state_dict()[name], second.ema.module.state_dict()[name])
    assert torch.equal(whole.metrics.confusion, second.metrics.confusion)
    assert (second.step, second.rate) == (whole.step, whole.rate)
    assert second.scaler.state_dict() == whole.scaler.state_dict()
    assert second.scaler.get_scale() == (32768 if amp == "fp16" else 1)


def test_a_state_without_a_scale_goes_on_in_fp16():
    first = learner_of(settings())
    state = first.state_dict() | {"epoch_sums": first.metrics.state_dict(), "config": settings().to_dict()}
    second = build_learner(Network(), settings(amp="fp16"), JOB, steps_per_epoch=3, state=state)
    assert second.scaler.get_scale() == 65536
