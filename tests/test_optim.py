"""The learning rate and the optimizer."""

import pytest
import torch

from tsam_dali.optim import build_optimizer, build_schedule, rate_factor
from tsam_dali.options import OptimizerParam


def test_lr_decay_is_tsams():
    options = OptimizerParam(lr_decay=(0.2, 5, 0.01, 30, 0.002, 45))
    factors = [rate_factor(options, epoch, 50) for epoch in (0, 4.99, 5, 29.9, 30, 45, 49.9)]
    assert factors == [1, 1, 0.2, 0.2, 0.01, 0.002, 0.002]


def test_cosine_with_warm_up():
    options = OptimizerParam(schedule="cosine", warmup_epochs=2)
    factors = [rate_factor(options, epoch, 12) for epoch in (0, 1, 2, 7, 12)]
    assert factors == pytest.approx([0, 0.5, 1, 0.5, 0])


def test_the_rate_is_a_function_of_the_step():
    options = OptimizerParam(lr=0.1, lr_decay=(0.5, 1), warmup_epochs=1)

    def rates(first_step, count):
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1)
        schedule = build_schedule(optimizer, options, epochs=3, steps_per_epoch=4, first_step=first_step)
        found = []
        for _ in range(count):
            found.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        return found

    whole = rates(0, 12)
    assert whole == pytest.approx([0.0125, 0.0375, 0.0625, 0.0875] + [0.05] * 8)
    assert rates(3, 9) == whole[3:]


def test_sgd_is_plain_sgd_with_momentum_and_decay_on_everything():
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    optimizer = build_optimizer(model, OptimizerParam(lr=0.1, momentum=0.8, weight_decay=0.01))
    assert type(optimizer) is torch.optim.SGD
    (group,) = optimizer.param_groups
    assert {key: group[key] for key in ("lr", "momentum", "weight_decay", "nesterov")} == {
        "lr": 0.1,
        "momentum": 0.8,
        "weight_decay": 0.01,
        "nesterov": False,
    }
    assert len(group["params"]) == 4


def test_another_optimizer_by_name():
    optimizer = build_optimizer(torch.nn.Linear(3, 2), OptimizerParam(name="adamw", lr=0.001))
    assert isinstance(optimizer, torch.optim.AdamW)
