"""The start of a run: the checkpoint that it resumes, or the initial weights of its network."""

import argparse
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from pipelines.dataset.clips import Clip
from pipelines.files.words import counted
from tsam_dali.config.load import Config
from tsam_dali.config.sections import PUBLISHED
from tsam_dali.config.timm_names import timm_name
from tsam_dali.distributed import Job
from tsam_dali.model import build_model
from tsam_dali.model.backbone import first_weights
from tsam_dali.model.freeze import shared_batch_norm
from tsam_dali.model.precision import on_device
from tsam_dali.model.tsam import TSAM
from tsam_dali.runs.folder import RunFolder
from tsam_dali.runs.resume import check_resume, check_same, check_shapes
from tsam_dali.training.optim import explain_rate
from tsam_dali.weights.checkpoint import CheckpointError
from tsam_dali.weights.class_names import check_class_names, meanings
from tsam_dali.weights.export_folder import read_state
from tsam_dali.weights.formats import WeightsError, read_weights
from tsam_dali.weights.load import LoadReport, load_pretrained, load_weights
from tsam_dali.weights.timm_zoo import timm_file
from tsam_dali.weights.tsam_zoo import weight_path

log = logging.getLogger(__name__)


def weight_file(args: argparse.Namespace, config: Config, folder: RunFolder) -> str | None:
    """The file with the initial weights, downloaded if allowed; None if they are timm's, a checkpoint's or random."""
    pretrain = first_weights(config.model)
    published = pretrain if pretrain in PUBLISHED else ""
    resumes = args.resume and (args.resume != "auto" or folder.checkpoints)
    name = args.validate or args.fine_tune or ("" if resumes else config.model.weights or published)
    if name == pretrain != config.model.pretrain:
        log.info(
            "resnet50_timm starts from MIIL's ImageNet-21k ResNet-50 (%s), as in TSAM; for timm's own weights set "
            "model.arch=resnet50 and model.normalize=backbone",
            name,
        )
    if not name and not resumes and pretrain != "none":
        timm_file(timm_name(config.model), args.download)
    return str(weight_path(name, args.download)) if name else None


def resumed_state(
    args: argparse.Namespace, config: Config, clips: Mapping[str, Sequence[Clip]], folder: RunFolder
) -> dict[str, Any] | None:
    """The checkpoint to resume, if any.

    Raises:
        CheckpointError: none is valid, it holds only weights, or ranks have different ones.
    """
    state = _newest_state(args, folder)
    check_same(state)
    if not state:
        return None
    if "step" not in state:
        raise CheckpointError(f"{args.resume}: holds weights, not the state of a run; start from them with --fine_tune")
    if not args.force:
        check_resume(state, config, clips)
    log.info("resuming after step %d, epoch %d", state["step"], len(state["history"]))
    return state


def scored_network(path: str, config: Config, job: Job) -> TSAM:
    """The network on its device with the weights of a file of any known format, and as many classes as these have.

    Raises:
        WeightsError: it has no last layer for clips, one for another number of classes than the data names, or does
            not fit.
        ValueError: its classes have other names.
    """
    file, names = read_weights(Path(path), "fc"), meanings(config.to_dict()["dataset"])
    if not file.head:
        raise WeightsError(f"{path}: --validate needs a checkpoint with a last layer for clips")
    num_class = file.classes
    if names and len(names) != num_class:
        raise WeightsError(
            f"{path}: has {counted(num_class, 'class', 'classes')}, but dataset.class_names names {len(names)}"
        )
    check_class_names(file.class_names, names)
    network = build_model(config, num_class)
    _log_report(load_weights(network, path))
    return on_device(network, job.device, config.training_param)


def initial_network(
    weights: str | None, config: Config, job: Job, num_class: int, state: dict[str, Any] | None
) -> TSAM:
    """The network on its device with its initial weights: of the checkpoint `state`, of a file, timm's or random."""
    torch.manual_seed(config.training_param.seed)
    network = build_model(config, num_class)
    if state:
        check_shapes(network.state_dict(), state["model"])
        network.load_state_dict(state["model"])
    elif weights:
        _log_report(load_weights(network, weights, class_names=meanings(config.to_dict()["dataset"])))
    elif config.model.pretrain != "none":
        _log_report(load_pretrained(network, config))
    network = shared_batch_norm(network, config.training_param, job)
    log.info("%s", explain_rate(config.optimizer_param, config.training_param.batch_size))
    return on_device(network, job.device, config.training_param)


def _log_report(report: LoadReport) -> None:
    log.log(logging.WARNING if report.differs else logging.INFO, "%s", report)


def _newest_state(args: argparse.Namespace, folder: RunFolder) -> dict[str, Any] | None:
    if not args.resume or (args.resume == "auto" and not folder.checkpoints):
        return None
    return folder.checkpoints.newest_valid() if args.resume == "auto" else read_state(Path(args.resume))
