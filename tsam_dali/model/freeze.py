"""Which parts of the network are trained, and how its BatchNorm layers work."""

from collections.abc import Iterator
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
    """Put the network into training mode for `epoch`: `freeze`, `trained`, `batch_norm` and `grad_checkpointing`.

    Frozen parts keep their weights and, in BatchNorm, their statistics; with `trained` "head" there is no stochastic
    depth either, so that an image always has the same features.

    Raises:
        ModelError: `freeze` names something that the network does not have, or `grad_checkpointing` would take a batch
            twice into the statistics of BatchNorm.
    """
    network.train()
    _checkpoint(network, options)
    frozen = [name for name, first_epoch in options.freeze.items() if epoch < first_epoch]
    modules, parameters = dict(network.named_modules()), dict(network.named_parameters())
    unknown = [name for name in options.freeze if not any(_inside(other, name) for other in (*modules, *parameters))]
    if unknown:
        parts = ", ".join(name for name, _ in network.backbone.named_children())
        raise ModelError(f"training_param.freeze: no {unknown[0]!r} in the network; its parts: {parts}, head")
    for name, parameter in parameters.items():
        parameter.requires_grad_(not any(_inside(name, part) for part in frozen))
    if options.trained != "all":
        trained = {id(parameter) for parameter in _trained(network, options.trained)}
        for parameter in parameters.values():
            parameter.requires_grad_(parameter.requires_grad and id(parameter) in trained)
    if options.trained == "head":
        network.backbone.eval()
        return
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


def _trained(network: TSAM, trained: str) -> Iterator[nn.Parameter]:
    """Parameters of the head and, for "norms", of the norms."""
    yield from network.head.parameters()
    if trained == "norms":
        for module in network.backbone.modules():
            if "norm" in type(module).__name__.lower():  # timm has some thirty classes of norms
                yield from module.parameters(recurse=False)


def _checkpoint(network: TSAM, options: TrainingParam) -> None:
    trained_norms = options.batch_norm != "frozen" and options.trained != "head"
    if options.grad_checkpointing and trained_norms and any(isinstance(m, _BatchNorm) for m in network.modules()):
        raise ModelError(
            "training_param.grad_checkpointing: the network has BatchNorm, which would count each batch twice; set "
            "training_param.batch_norm=frozen, or choose a network with other norms, such as a transformer or ConvNeXt"
        )
    if options.grad_checkpointing:
        network.backbone.set_grad_checkpointing(True)


def _inside(name: str, part: str) -> bool:
    """Whether `name` is that of a part as timm names it ("layer1"), or of something in it; "backbone" is all of it."""
    if part == "backbone":
        return f"{name}.".startswith("backbone.")
    return f"{name.removeprefix('backbone.')}.".startswith(f"{part.removeprefix('backbone.')}.")
