"""Warnings before a training: of BatchNorm with small batches, of a moving average that is too slow."""

import pytest
import torch
from torch import nn

from tsam_dali.config.sections import TrainingParam
from tsam_dali.distributed import Job
from tsam_dali.training.cautions import cautions


def said(network=None, ranks=1, steps=100_000, **options):
    job = Job(0, ranks, ranks, torch.device("cpu"))
    return " ".join(cautions(network or nn.BatchNorm2d(3), TrainingParam(**options), job, steps))


@pytest.mark.parametrize(
    ("options", "clips"),
    [
        ({"batch_size": 7}, "7 clips"),
        ({"batch_size": 16, "accumulate": 16}, "1 clip at"),
        ({"batch_size": 16, "ranks": 4}, "4 clips"),
        ({"batch_size": 4, "ranks": 2, "batch_norm": "sync"}, "4 clips"),
        ({"batch_size": 4, "trained": "norms"}, "4 clips"),
    ],
)
def test_small_batches_of_batch_norm(options, clips):
    text = said(**options)
    assert f"BatchNorm takes its statistics from {clips}" in text
    assert "training_param.batch_norm=frozen" in text


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 8},
        {"batch_size": 4, "batch_norm": "frozen"},
        {"batch_size": 4, "batch_norm": "partial"},
        {"batch_size": 4, "trained": "head"},
        {"batch_size": 16, "ranks": 4, "batch_norm": "sync"},
        {"batch_size": 4, "network": nn.LayerNorm(3)},
    ],
)
def test_nothing_to_warn_of(options):
    assert said(**options) == ""


def test_a_moving_average_that_is_still_the_first_network():
    text = said(batch_size=64, ema_decay=0.9998, steps=228)
    assert "training_param.ema_decay: after 228 steps 96% of the moving average is still the network" in text
    assert "choose at most 0.978" in text
    assert said(batch_size=64, ema_decay=0.978, steps=228) == ""
    assert said(batch_size=64, ema_decay=0.9998, steps=20_000) == ""
