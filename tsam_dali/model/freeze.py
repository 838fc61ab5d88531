"""Which parts of the network are trained, and how its BatchNorm layers work."""

from typing import TypeVar, cast

from timm.layers import convert_sync_batchnorm
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from tsam_dali.config.sections import TrainingParam
from tsam_dali.distributed import Job
from tsam_dali.model.backbone import ModelError
from tsam_dali.model.tsam import TSAM

Network = TypeVar("Network", bound=nn.Module)


def shared_batch_norm(network: Network, options: TrainingParam, job: Job) -> Network:
    """The network, its BatchNorm layers taking their statistics over all ranks where `batch_norm` is "sync".

    Raises:
        ModelError: asked for on CPUs, which torch's SyncBatchNorm does not support.
    """
    if options.batch_norm != "sync" or job.world == 1:
        return network
    if job.device.type != "cuda":
        raise ModelError("training_param.batch_norm: sync works on GPUs only; choose train, partial or frozen")
    return cast(Network, convert_sync_batchnorm(network))


def set_training(network: TSAM, options: TrainingParam, epoch: int) -> None:
    """Put the network into training mode for `epoch`, following `freeze` and `batch_norm`.

    Frozen parts keep their weights and, in BatchNorm, their statistics.

    Raises:
        ModelError: `freeze` names something that the network does not have.
    """
    network.train()
    frozen = [name for name, first_epoch in options.freeze.items() if epoch < first_epoch]
    modules, parameters = dict(network.named_modules()), dict(network.named_parameters())
    unknown = [name for name in options.freeze if not any(_inside(other, name) for other in (*modules, *parameters))]
    if unknown:
        parts = ", ".join(name for name, _ in network.backbone.named_children())
        raise ModelError(f"training_param.freeze: no {unknown[0]!r} in the network; its parts: {parts}, head")
    for name, parameter in parameters.items():
        parameter.requires_grad_(not any(_inside(name, part) for part in frozen))
    first = True
    for name, module in modules.items():
        if not isinstance(module, _BatchNorm):
            continue
        fixed = options.batch_norm == "frozen" or (options.batch_norm == "partial" and not first)
        first = False
        if fixed:
            module.requires_grad_(False)
        if fixed or any(_inside(name, part) for part in frozen):
            module.eval()


def _inside(name: str, part: str) -> bool:
    """Whether `name` is that of a part as timm names it ("layer1"), or of something in it."""
    return f"{name.removeprefix('backbone.')}.".startswith(f"{part.removeprefix('backbone.')}.")
