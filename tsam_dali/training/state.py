"""The state of training: network, optimizer, schedule, loss scaler, moving average; new or from a checkpoint."""

import inspect
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from timm.utils import ModelEmaV3
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from pipelines.loader import Batch
from tsam_dali.config.load import Config
from tsam_dali.distributed import Job, mean_in_rank_order
from tsam_dali.model.freeze import set_training
from tsam_dali.model.precision import tune_gpu
from tsam_dali.model.tsam import TSAM
from tsam_dali.training.compiled import compiling_pays
from tsam_dali.training.metrics import Sums
from tsam_dali.training.nan_guard import MOST_SKIPPED, NanGuard
from tsam_dali.training.optim import build_optimizer, build_schedule, load_optimizer
from tsam_dali.training.tasks import AnyTask, task_of

_SETTING = "forward_sync_buffers"
if _SETTING not in inspect.signature(DistributedDataParallel).parameters:  # before PyTorch 2.13
    _SETTING = "broadcast_buffers"
NO_BROADCAST: dict[str, Any] = {_SETTING: False}
"""Buffers are not sent around in each step: `same_buffers` does it before they are used."""


@dataclass(kw_only=True)
class TrainState:
    """The parts of a training step."""

    network: TSAM  # as built: its state is what checkpoints hold
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    scaler: torch.amp.GradScaler  # of fp16; switched off otherwise
    ema: ModelEmaV3 | None  # the moving average of the network, if asked for
    config: Config
    job: Job
    steps_per_epoch: int
    step: int  # steps done since training began: the position in training
    rate: float  # learning rate of the last one
    metrics: Sums  # over the epoch so far
    task: AnyTask
    model: nn.Module = field(init=False)  # the network compiled and wrapped: what a step calls
    nan_guard: NanGuard = field(init=False)
    compiled: bool | None = field(init=False)  # None: the first step will show whether it pays

    def __post_init__(self) -> None:
        on_gpu, compiled = self.job.device.type == "cuda", self.config.training_param.compile
        self.compiled = (None if on_gpu else False) if compiled == "auto" else compiled
        allowed = MOST_SKIPPED if self.scaler.is_enabled() else 0
        self.nan_guard = NanGuard(allowed, late=2 if on_gpu else 1)
        self.start_epoch(0)

    def start_epoch(self, epoch: int) -> None:
        """Training mode for `epoch`, by the settings."""
        set_training(self.network, self.config.training_param, epoch)
        free = [parameter.requires_grad for parameter in self.network.parameters()]
        if getattr(self, "_free", None) == free:
            return
        self._free = free
        self._wrap()

    def choose_compiled(self, batch: Batch) -> None:
        """Settle with the first batch whether the network is compiled, if the settings leave it open."""
        if self.compiled is None:
            training = self.config.training_param
            left = training.epochs * self.steps_per_epoch - self.step
            self.compiled = compiling_pays(self.network, batch, training, self.job, left)
            if self.compiled:
                self._wrap()

    def _wrap(self) -> None:
        """Make `model`: DistributedDataParallel registers once which parameters have gradients.

        It stands outside of what is compiled: the compiler then cuts the graph where a bucket of gradients is full, so
        that it is sent while others are computed.
        """
        model = cast(nn.Module, torch.compile(self.network)) if self.compiled else self.network
        if self.job.world > 1:
            on_gpu = self.job.device.type == "cuda"
            model = DistributedDataParallel(
                model,
                device_ids=[self.job.device] if on_gpu else None,
                gradient_as_bucket_view=True,
                **NO_BROADCAST,
            )
            if not on_gpu and self.job.world > 2:  # the sum of two has one order
                model.register_comm_hook(None, mean_in_rank_order)
        self.model = model

    @property
    def averaged_network(self) -> TSAM:
        """The network that is validated: the moving average if there is one."""
        return cast(TSAM, self.ema.module) if self.ema else self.network

    def seed_step(self) -> None:
        """Make dropout a function of seed, step and rank, so that no random state must be saved."""
        seed = self.config.training_param.seed * 1_000_003 + self.step
        torch.manual_seed((seed * 10_007 + self.job.rank) % 2**63)

    def update(self) -> torch.Tensor:
        """One optimizer step; returns the gradient norm () before clipping."""
        self.scaler.unscale_(self.optimizer)
        norm = self._limit_gradient()
        self.scaler.step(self.optimizer)  # with fp16, not if a gradient is not finite
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.rate = float(self.schedule.get_last_lr()[0])
        self.schedule.step()
        self.step += 1
        if self.ema:
            self.ema.update(self.network, self.step)
        return norm

    def _limit_gradient(self) -> torch.Tensor:
        """Clip gradients to the norm `gd`; returns the norm () before."""
        limit = self.config.optimizer_param.gd
        if limit:
            return nn.utils.clip_grad_norm_(self.network.parameters(), limit)
        gradients = [parameter.grad for parameter in self.network.parameters() if parameter.grad is not None]
        return nn.utils.get_total_norm(gradients)

    def state_dict(self) -> dict[str, Any]:
        """The state that a checkpoint holds. The schedule has none: it is a function of the step."""
        state = {
            "steps_per_epoch": self.steps_per_epoch,
            "step": self.step,
            "rate": self.rate,
            "model": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
        }
        return state | ({"ema": self.ema.module.state_dict()} if self.ema else {})


def build_train_state(
    network: TSAM,
    config: Config,
    job: Job,
    steps_per_epoch: int,
    state: dict[str, Any] | None = None,
    class_weights: torch.Tensor | None = None,
) -> TrainState:
    """The training state of `network`, which is on its device already; `state` is that of a checkpoint to resume."""
    training, options = config.training_param, config.optimizer_param
    tune_gpu(job.device)
    optimizer = build_optimizer(network, options, training.batch_size)
    scaler = torch.amp.GradScaler(job.device.type, enabled=training.amp == "fp16")
    ema = ModelEmaV3(network, decay=training.ema_decay) if training.ema_decay else None
    outputs = network.head.out_features
    task = task_of(config.dataset, training, outputs, weights=class_weights, device=job.device)
    metrics = task.training_sums(job.device)
    step = state["step"] if state else 0
    if state:
        load_optimizer(optimizer, options, state)
        if state["scaler"]:  # empty if the checkpoint is of a run without fp16
            scaler.load_state_dict(state["scaler"])
        if ema:
            ema.module.load_state_dict(state.get("ema", state["model"]))
        if job.is_main:
            metrics.load_state_dict(state["epoch_sums"])
    return TrainState(
        network=network,
        optimizer=optimizer,
        schedule=build_schedule(optimizer, options, training.epochs, steps_per_epoch, step),
        scaler=scaler,
        ema=ema,
        config=config,
        job=job,
        steps_per_epoch=steps_per_epoch,
        step=step,
        rate=state["rate"] if state else 0.0,
        metrics=metrics,
        task=task,
    )
