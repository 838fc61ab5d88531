"""The learning rate and the optimizer."""

import pytest
import timm
import torch

from tests.helpers.networks import settings
from tsam_dali.config.load import ConfigError
from tsam_dali.config.sections import OptimizerParam
from tsam_dali.model import build_model
from tsam_dali.training.optim import build_optimizer, build_schedule, explain_rate, rate_factor


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
        optimizer = torch.optim.SGD([{"params": [torch.zeros(1, requires_grad=True)], "base_lr": 0.1}], lr=1)
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
    optimizer = build_optimizer(model, OptimizerParam(lr=0.1, momentum=0.8, weight_decay=0.01), 8)
    assert type(optimizer) is torch.optim.SGD
    assert optimizer.defaults["foreach"] is optimizer.defaults["fused"] is None  # torch decides: `foreach` on a GPU
    (group,) = optimizer.param_groups
    assert {key: group[key] for key in ("lr", "momentum", "weight_decay", "nesterov")} == {
        "lr": 0.1,
        "momentum": 0.8,
        "weight_decay": 0.01,
        "nesterov": False,
    }
    assert len(group["params"]) == 4


def test_another_optimizer_by_name():
    optimizer = build_optimizer(torch.nn.Linear(3, 2), OptimizerParam(name="adamw", lr=0.001), 8)
    assert isinstance(optimizer, torch.optim.AdamW)


def test_an_unknown_optimizer_is_named_with_the_nearest_ones():
    with pytest.raises(ConfigError, match="optimizer_param.name: timm has no optimizer 'adamm'; nearest: adam"):
        build_optimizer(torch.nn.Linear(3, 2), OptimizerParam(name="adamm"), 8)


class Small(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 1)
        self.bn = torch.nn.BatchNorm2d(4)
        self.head = torch.nn.Linear(4, 2)


def rates_and_decays(**options):
    model = Small()
    optimizer = build_optimizer(model, OptimizerParam(lr=0.1, weight_decay=0.01, **options), 8)
    names = {parameter: name for name, parameter in model.named_parameters()}
    groups = optimizer.param_groups
    return {names[p]: (round(group["lr"], 6), group["weight_decay"]) for group in groups for p in group["params"]}


def test_tsms_multipliers():
    assert rates_and_decays(multipliers="tsm") == {
        "conv.weight": (0.1, 0.01),
        "conv.bias": (0.2, 0),
        "bn.weight": (0.1, 0),
        "bn.bias": (0.1, 0),
        "head.weight": (0.5, 0.01),
        "head.bias": (1.0, 0),
    }


def test_no_decay_on_norms_and_biases():
    found = rates_and_decays(decay_norm_bias=False)
    assert {name for name, (_, decay) in found.items() if decay} == {"conv.weight", "head.weight"}


def test_the_rate_grows_with_the_batch():
    found = rates_and_decays(lr_batch_size=2)
    assert set(found.values()) == {(0.4, 0.01)}
    assert "0.1 x 8 / 2 = 0.4" in explain_rate(OptimizerParam(lr=0.1, lr_batch_size=2), 8)
    assert "lr_batch_size scales it" in explain_rate(OptimizerParam(lr=0.1), 8)


@pytest.mark.parametrize("arch", ["test_vit", "vit_tiny_patch16_dinov3_qkvb", "test_vit3", "resnet18", "convnext_atto"])
def test_layer_decay_is_timms(arch):
    """As for timm's network with its own classifier, whose place the head takes."""
    options = OptimizerParam(name="adamw", lr=0.1, weight_decay=0.01, layer_decay=0.7, decay_norm_bias=False)
    with torch.device("meta"):
        model = build_model(settings(f"model.arch={arch}", "shift_temporal.tokens=all"), 3)
        whole = timm.create_model(arch, num_classes=3)
    optimizer = build_optimizer(model, options, 8)
    named = {id(parameter): name for name, parameter in model.named_parameters()}
    found = {
        named[id(parameter)].removeprefix("backbone."): group["lr"]
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    timms = {id(parameter): name for name, parameter in whole.named_parameters()}
    groups = timm.optim.param_groups_layer_decay(whole, layer_decay=0.7)
    classifiers = {f"{name}.{part}": f"head.{part}" for name in ("fc", "head.fc") for part in ("weight", "bias")}
    expected = {}
    for group in groups:
        for parameter in group["params"]:
            name = timms[id(parameter)]
            expected[classifiers.get(name, name)] = 0.1 * group["lr_scale"]
    assert found == pytest.approx(expected)
    assert len(set(found.values())) > 4
    assert optimizer.param_groups[0]["lr"] == 0.1  # the rate that is logged
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.0, 0.01}
