"""What training changes: network, optimizer, rate schedule, loss scaler - made anew or from a checkpoint."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from tsam_dali.config import Config
from tsam_dali.distributed import Job
from tsam_dali.optim import build_optimizer, build_schedule


@dataclass(kw_only=True)
class Learner:
    """The parts of a training step."""

    network: nn.Module  # as built: its state is what checkpoints hold
    model: nn.Module  # the same, compiled and inside DistributedDataParallel where asked for: what a step calls
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    scaler: torch.amp.GradScaler  # of fp16; switched off otherwise

    def state_dict(self) -> dict[str, Any]:
        """The state that a checkpoint holds. The schedule has none: it is a function of the step."""
        return {
            "model": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
        }


def build_learner(
    network: nn.Module, config: Config, job: Job, steps_per_epoch: int, first_step: int, state: dict[str, Any] | None
) -> Learner:
    """Everything around `network`, which is on its device already; `state` is that of a checkpoint to go on from."""
    training, options = config.training_param, config.optimizer_param
    optimizer = build_optimizer(network, options)
    scaler = torch.amp.GradScaler(job.device.type, enabled=training.amp == "fp16")
    if state:
        optimizer.load_state_dict(state["optimizer"])
        scaler.load_state_dict(state["scaler"])
    model = torch.compile(network) if training.compile else network
    if job.world > 1:
        model = DistributedDataParallel(model, device_ids=[job.device] if job.device.type == "cuda" else None)
    schedule = build_schedule(optimizer, options, training.epochs, steps_per_epoch, first_step)
    return Learner(network=network, model=model, optimizer=optimizer, schedule=schedule, scaler=scaler)
