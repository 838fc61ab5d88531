"""Optimizer and learning rate."""

import math

import timm.optim
import torch
from torch import nn

from tsam_dali.options import OptimizerParam


def build_optimizer(model: nn.Module, options: OptimizerParam) -> torch.optim.Optimizer:
    """timm's optimizer of that name; `sgd` is plain SGD with momentum, as in TSAM (timm's own `sgd` is Nesterov's)."""
    name = {"sgd": "momentum"}.get(options.name, options.name)
    # Decay on everything, biases and norms too, as TSAM trains.
    keywords = {"lr": options.lr, "weight_decay": options.weight_decay, "filter_bias_and_bn": False}
    return timm.optim.create_optimizer_v2(model, opt=name, momentum=options.momentum, **keywords)


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
        group["lr"] = group["initial_lr"] = options.lr
    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
