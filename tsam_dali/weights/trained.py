"""A trained network from a checkpoint or an export: its weights, settings, class names and scores.

network, config, class_names = build_trained("results/first/checkpoints/balanced_best")
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipelines.files.words import counted
from tsam_dali.config.load import Config, ConfigError, config_from_dict
from tsam_dali.model import build_model
from tsam_dali.model.precision import on_device
from tsam_dali.model.tsam import TSAM
from tsam_dali.weights.checkpoint import CheckpointError
from tsam_dali.weights.export_folder import read_state
from tsam_dali.weights.hub import local_path

SHOWN = 400  # characters of torch's message about weights that do not fit; it may name every tensor


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What a checkpoint or an exported folder holds, without the state of the optimizer."""

    config: Config
    """The settings of the training."""
    state: dict[str, Tensor]
    """The weights that were validated (their moving average, where the run kept one), for `load_state_dict` of the
    network that `build_model` makes from `config`."""
    class_names: tuple[str, ...]
    """A name for each class, label or number, in the order of the logits: "0", "1", ... where the data set has none."""
    history: list[dict[str, Any]]
    """A record of each whole epoch so far: `epoch` (counted from 0), scores of `training` and `validation`."""
    best: dict[str, float]
    """Best validation scores of the run so far: of classes `balanced` and `unbalanced` accuracy (0..1)."""
    lists: dict[str, str]
    """What each split's list was, see `tsam_dali.runs.resume.fingerprints`; empty for weights of other projects."""


def read_trained(path: str | Path) -> Trained:
    """Read a checkpoint of a run, a folder written by `python -m tsam_dali.export --safetensors`, or a network on the
    Hub, see `tsam_dali.weights.hub`.

    Raises:
        CheckpointError: it is missing, damaged, or of another program.
        ConfigError: its settings are unknown here.
    """
    state = read_state(local_path(path))
    try:
        config = config_from_dict(state["config"])
    except ConfigError as error:
        raise ConfigError([f"{path}: {problem}" for problem in error.problems]) from error
    weights = state.get("ema", state["model"])
    if "head.weight" not in weights:
        raise CheckpointError(f"{path}: has no tensor head.weight, expected the last layer of a trained network")
    num_class = len(weights["head.weight"])
    names = config.dataset.targets.names or tuple(map(str, range(num_class)))
    if len(names) != num_class:
        raise CheckpointError(
            f"{path}: got {counted(len(names), 'class name')}, expected {num_class}, one for each class"
        )
    return Trained(
        config=config,
        state=weights,
        class_names=names,
        history=state["history"],
        best=state["best"],
        lists=state.get("lists", {}),
    )


def build_trained(path: str | Path, device: str | torch.device = "cpu") -> tuple[TSAM, Config, tuple[str, ...]]:
    """The trained network on a device, in evaluation mode; its settings; the name of each class.

    Raises:
        CheckpointError, ConfigError: as `read_trained`, or weights that do not fit their settings.
    """
    trained = read_trained(path)
    return network_of(trained, path, device), trained.config, trained.class_names


def network_of(trained: Trained, path: str | Path, device: str | torch.device = "cpu") -> TSAM:
    """The network of what was read from `path`; see `build_trained`."""
    network = build_model(trained.config, len(trained.class_names))
    try:
        network.load_state_dict(trained.state)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: its weights do not fit its settings ({str(error)[:SHOWN]} ...)") from error
    return on_device(network, device, trained.config.training_param).eval()
