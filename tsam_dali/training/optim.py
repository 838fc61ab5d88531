"""Optimizer and learning rate."""

import logging
import math
from typing import Any, cast

import timm.optim
import torch
from timm.models._manipulate import group_with_matcher
from torch import nn

from pipelines.files.words import counted
from tsam_dali.config.load import ConfigError
from tsam_dali.config.sections import OptimizerParam
from tsam_dali.config.timm_names import optimizer_problem
from tsam_dali.model.backbone import Backbone

log = logging.getLogger(__name__)


def build_optimizer(model: nn.Module, options: OptimizerParam, batch_size: int) -> torch.optim.Optimizer:
    """timm's optimizer of that name; `sgd` is plain SGD with momentum, as in TSAM (timm's own `sgd` is Nesterov's).

    Each group of parameters carries its `base_lr`, which the schedule multiplies.
    """
    name = {"sgd": "momentum"}.get(options.name, options.name)
    known = list(map(str, timm.optim.list_optimizers()))
    if problem := optimizer_problem(name, known):
        raise ConfigError([problem])
    rate = scaled_rate(options, batch_size)
    groups = [
        {"params": parameters, "lr": rate * times, "base_lr": rate * times, "weight_decay": decay}
        for (times, decay), parameters in _groups(model, options).items()
    ]
    return timm.optim.create_optimizer_v2(groups, opt=name, lr=rate, momentum=options.momentum)


def load_optimizer(optimizer: torch.optim.Optimizer, options: OptimizerParam, state: dict[str, Any]) -> None:
    """Restore the optimizer's state from a checkpoint; rates and the like are those of the settings.

    With another optimizer or other groups of parameters the state does not fit, and it starts without one.
    """
    before, kept = state["config"]["optimizer_param"]["name"], state["optimizer"]
    sizes = [[len(group["params"]) for group in groups] for groups in (kept["param_groups"], optimizer.param_groups)]
    if before != options.name or sizes[0] != sizes[1]:
        log.warning("the checkpoint's optimizer state (%s) does not fit: %s starts without it", before, options.name)
        return
    settings = [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
    optimizer.load_state_dict(kept)
    for group, wanted in zip(optimizer.param_groups, settings, strict=True):
        group.update(wanted)


def scaled_rate(options: OptimizerParam, batch_size: int) -> float:
    """lr, scaled in proportion to the batch size if `lr_batch_size` is set.

    Source: the linear scaling rule, https://arxiv.org/abs/1706.02677
    """
    return options.lr * batch_size / options.lr_batch_size if options.lr_batch_size else options.lr


def explain_rate(options: OptimizerParam, batch_size: int) -> str:
    """The learning rate in words, and how it would be scaled to the batch."""
    if not options.lr_batch_size:
        return (
            f"learning rate {options.lr:g} for batches of {counted(batch_size, 'clip')}. If it was chosen for another "
            "batch size, optimizer_param.lr_batch_size scales it in proportion"
        )
    return (
        f"learning rate {options.lr:g} x {batch_size} / {options.lr_batch_size} = {scaled_rate(options, batch_size):g}"
        f", as batches have {counted(batch_size, 'clip')} and lr was chosen for {options.lr_batch_size}"
    )


def _groups(model: nn.Module, options: OptimizerParam) -> dict[tuple[float, float], list[nn.Parameter]]:
    """(multiple of the rate, weight decay) -> parameters.

    The first group has the rate that the log shows: with `layer_decay`, the head's.

    Source of the multiples: TSM's `get_optim_policies`, https://github.com/mit-han-lab/temporal-shift-module
    """
    tsm = options.multipliers == "tsm"
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    scales = _layer_scales(model, options.layer_decay) if options.layer_decay < 1 else {}
    parameters = list(model.named_parameters())
    for name, parameter in reversed(parameters) if scales else parameters:
        matrix = parameter.ndim > 1  # of a layer; the others are biases, and the weights of norms
        decay = options.weight_decay if matrix or (options.decay_norm_bias and not tsm) else 0.0
        layer = getattr(model.get_submodule(name.rpartition(".")[0]), "weight", parameter)
        times = 2.0 if tsm and not matrix and layer.ndim > 1 else 1.0
        times *= 5.0 if tsm and name.startswith("head.") else 1.0
        times *= scales.get(name, 1.0)
        groups.setdefault((times, decay), []).append(parameter)
    return groups


def _layer_scales(model: nn.Module, layer_decay: float) -> dict[str, float]:
    """Multiple of the rate of each parameter of a TSAM network, as timm decays it for one with its own classifier.

    Source: BEiT, https://arxiv.org/abs/2106.08254
    """
    names = {name.removeprefix("backbone."): name for name, _ in model.named_parameters()}
    matcher = cast(Backbone, model.get_submodule("backbone")).group_matcher(coarse=False)
    layers = group_with_matcher(((name, None) for name in names), matcher, reverse=True)
    last = max(layers.values())
    return {names[name]: layer_decay ** (last - layer) for name, layer in layers.items()}


def rate_factor(options: OptimizerParam, epoch: float, epochs: int) -> float:
    """What the learning rate is multiplied by at `epoch` (with decimals) of `epochs`."""
    warmup = min(1.0, epoch / options.warmup_epochs) if options.warmup_epochs else 1.0
    if options.schedule == "cosine":
        start = min(options.warmup_epochs, epochs)
        progress = max(0.0, epoch - start) / max(epochs - start, 1e-9)
        return warmup * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    factor = 1.0
    for value, first_epoch in zip(options.lr_decay[::2], options.lr_decay[1::2], strict=True):
        if int(epoch) >= first_epoch:
            factor = value
    return warmup * factor


def build_schedule(
    optimizer: torch.optim.Optimizer, options: OptimizerParam, epochs: int, steps_per_epoch: int, first_step: int
) -> torch.optim.lr_scheduler.LambdaLR:
    """The rate as a function of the global step alone, so that a resumed run needs no state of it."""

    def factor(steps_since: int) -> float:
        # Half a step in: the first step of a warm-up has a rate above zero, the last of a cosine too.
        return rate_factor(options, (first_step + steps_since + 0.5) / steps_per_epoch, epochs)

    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] = group["base_lr"]
    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
