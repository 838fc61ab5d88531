"""What a run begins with: the checkpoint that it goes on from, or the weights that its network takes over."""

import argparse
import hashlib
import logging
from pathlib import Path
from typing import Any

import torch

from pipelines.clips import Clip
from tsam_dali.backbone import timm_name
from tsam_dali.checkpoint import CheckpointError, load_checkpoint
from tsam_dali.config import Config
from tsam_dali.distributed import Job, of_all_ranks
from tsam_dali.model import build_model
from tsam_dali.optim import explain_rate
from tsam_dali.published_weights import PUBLISHED, weight_path
from tsam_dali.resume import check_resume
from tsam_dali.run_folder import RunFolder
from tsam_dali.timm_weights import timm_file
from tsam_dali.trainable import shared_batch_norm
from tsam_dali.weights import load_pretrained, load_weights

log = logging.getLogger(__name__)


def weight_file(args: argparse.Namespace, config: Config, folder: RunFolder) -> str | None:
    """The file with the first weights; None: they are timm's, a checkpoint's or new. What lacks is fetched if asked."""
    pretrain = config.model.pretrain
    published = pretrain if pretrain in PUBLISHED else ""
    goes_on = args.resume and (args.resume != "auto" or folder.checkpoints)
    name = args.validate or args.fine_tune or ("" if goes_on else config.model.weights or published)
    if not name and not goes_on and pretrain != "none":
        timm_file(timm_name(config.model), args.download)
    return str(weight_path(name, args.download)) if name else None


def resumed_state(
    args: argparse.Namespace, config: Config, clips: dict[str, list[Clip]], folder: RunFolder
) -> dict[str, Any] | None:
    """The checkpoint to go on from, if any.

    Raises:
        CheckpointError: there is none that is whole, it holds nothing but weights, or ranks have different ones.
    """
    state = _newest_state(args, folder)
    _check_same(state)
    if not state:
        return None
    if "step" not in state:
        raise CheckpointError(f"{args.resume}: holds weights, not the state of a run; begin with them by --fine_tune")
    if not args.force:
        check_resume(state, config, clips)
    log.info("going on after step %d, epoch %d", state["step"], len(state["history"]))
    return state


def first_network(
    fine_tune: str | None, config: Config, job: Job, num_class: int, state: dict[str, Any] | None
) -> torch.nn.Module:
    """The network on its device, with the weights that training starts from."""
    torch.manual_seed(config.training_param.seed)
    network = build_model(config, num_class)
    if state:
        _check_shapes(network.state_dict(), state["model"])
        network.load_state_dict(state["model"])
    elif fine_tune:
        log.info("%s", load_weights(network, fine_tune))
    elif config.model.pretrain != "none":
        log.info("%s", load_pretrained(network, config))
    network = shared_batch_norm(network, config.training_param, job)
    if job.is_main:
        log.info("%s", explain_rate(config.optimizer_param, config.training_param.batch_size))
    layout = torch.channels_last if config.training_param.channels_last else torch.contiguous_format
    return network.to(job.device, memory_format=layout)


def _check_shapes(network: dict[str, torch.Tensor], kept: dict[str, torch.Tensor]) -> None:
    """Raise CheckpointError where the tensors of a checkpoint do not have the shapes of the network's."""
    shapes = [{name: tuple(tensor.shape) for name, tensor in state.items()} for state in (kept, network)]
    names = [name for name in shapes[0] | shapes[1] if shapes[0].get(name) != shapes[1].get(name)]
    if names:
        first = " -> ".join(str(of.get(names[0], "none")) for of in shapes)
        raise CheckpointError(
            f"the checkpoint's network is another one: {names[0]} {first}, {len(names)} tensors differ in all; --force "
            "cannot go on with it, but --fine_tune begins a new run with what fits of its weights"
        )


def _newest_state(args: argparse.Namespace, folder: RunFolder) -> dict[str, Any] | None:
    if not args.resume or (args.resume == "auto" and not folder.checkpoints):
        return None
    return folder.checkpoints.newest_valid() if args.resume == "auto" else load_checkpoint(Path(args.resume))


def _check_same(state: dict[str, Any] | None) -> None:
    """Raise CheckpointError on all ranks unless all go on from the same checkpoint, or from none."""
    found = of_all_ranks(_identity(state) if state else "none")
    if len(set(found)) > 1:
        each = "; ".join(f"rank {found.index(one)}: {one}" for one in dict.fromkeys(found))
        raise CheckpointError(
            f"the ranks find different checkpoints ({each}); results_folder must be the same folder on all machines"
        )


def _identity(state: dict[str, Any]) -> str:
    digest = hashlib.sha256()
    for tensor in state["model"].values():
        digest.update(tensor.contiguous().numpy())
    return f"step {state.get('step')}, SHA-256 of the weights {digest.hexdigest()[:16]}"
