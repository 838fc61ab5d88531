"""One step of training: parts add up to the whole, and what is not ok changes nothing."""

import pytest
import torch
from torch import nn

from pipelines.loader import Batch
from tsam_dali.config import Config, config_from_dict
from tsam_dali.distributed import Job
from tsam_dali.engine import train_one_epoch, validation_metrics
from tsam_dali.learner import build_learner
from tsam_dali.progress import Progress

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
    learner = build_learner(network, config, JOB, steps_per_epoch=len(batches), first_step=0, state=None)
    result = train_one_epoch(learner, Progress(batches, "", clips_per_step=6, show=False), config, JOB)
    return network.head.weight.detach(), result["training"]


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
    assert result_of_spoiled == result
    assert result["samples"] == 4


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


def test_validation_counts_what_is_ok_and_trains_nothing():
    network = Network()
    before = network.head.weight.detach().clone()
    batches = [batch(), batch(bad=(1, 2))]
    result = validation_metrics(network, Progress(batches, "", clips_per_step=6, show=False), settings(), JOB)
    assert result["samples"] == 10
    assert torch.equal(network.head.weight, before)
    logits = torch.cat([network(b.video, None)[b.ok] for b in batches])
    label = torch.cat([b.label[b.ok] for b in batches])
    assert result["loss"] == pytest.approx(nn.functional.cross_entropy(logits, label).item(), rel=1e-6)
    assert result["accuracy"] == pytest.approx((logits.argmax(1) == label).float().mean().item())
