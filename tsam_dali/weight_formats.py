"""What a weight file holds: read without running anything in it, recognised by its keys, renamed to timm's names.

    format          keys of a shifted block's first convolution and of the head
    tsam_dali       backbone.layer1.0.conv1.weight                      head.weight
    TSAM            nn_backbone: base_model.layer1.0.conv1.layer.weight last_fc: weight
    TSM             module.base_model.layer1.0.conv1.net.weight         module.new_fc.weight
    mmaction2 TSM   backbone.layer1.0.conv1.conv.net.weight             cls_head.fc_cls.weight
    plain           layer1.0.conv1.weight                               (a classifier of pictures, of no use here)

TSM, https://github.com/mit-han-lab/temporal-shift-module; mmaction2, https://github.com/open-mmlab/mmaction2;
TSAM, https://github.com/aav-antonov/TSAM; plain are timm's and torchvision's files.
"""

import pickle
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from tsam_dali.checkpoint import CheckpointError, check_digest
from tsam_dali.model_folder import read_folder

TSM_SETTINGS = {"f_div": 8, "shift_depth": 1, "edge": "zero"}


class WeightsError(ValueError):
    """Weights that cannot be had, or do not fit the network."""


@dataclass(frozen=True, kw_only=True)
class WeightFile:
    """The content of a weight file, under timm's names."""

    format: str
    backbone: dict[str, Tensor]
    """Without the classifier of pictures."""
    head: dict[str, Tensor] = field(default_factory=dict)
    """`weight` (classes, F) and `bias` (classes,) of the head for clips, if there is one."""
    ignored: tuple[str, ...] = ()
    """Keys that are of no use here."""
    shifted: frozenset[str] | None = None
    """Names of the shifted blocks, if the keys tell."""
    shift: dict[str, Any] = field(default_factory=dict)
    """Settings of the section `shift_temporal` that the weights were trained with, as far as the file tells."""
    normalize: str | None = None
    """`model.normalize` that the weights were trained with, if known."""


def read_weights(path: Path, classifier: str) -> WeightFile:
    """Read a weight file of any known format.

    Args:
        path: a file written by `torch.save`, or safetensors; or a folder that `tsam_dali.export` wrote.
        classifier: name of the layer that classifies pictures in plain weights, "fc" for a ResNet.

    Raises:
        WeightsError: no such file, damaged, holds anything but tensors and plain values, or no known format.
    """
    if path.is_dir():
        content = _read_folder(path)
    else:
        _check_digest(path)
        content = _read_safetensors(path) if _is_safetensors(path) else _read_pickle(path)
    if isinstance(content, dict):
        if "nn_backbone" in (content.get("model_state") or {}):
            return _tsam(content)
        state = next(
            (content[key] for key in ("ema", "model", "state_dict") if isinstance(content.get(key), dict)), content
        )
        state = _strip({key: value for key, value in state.items() if isinstance(value, Tensor)})
        if any(key.startswith("base_model.") for key in state):
            return _tsm(state)
        if "backbone.conv1.conv.weight" in state:
            return _mmaction(state)
        if any(key.startswith("backbone.") for key in state):
            return _own(state, content.get("config"))
        if state:
            return _plain(state, classifier)
    found = ", ".join(map(str, list(content)[:8])) if isinstance(content, dict) else f"a {type(content).__name__}"
    raise WeightsError(f"{path}: found {found or 'nothing'}, expected a checkpoint or a state dict of tensors")


def _check_digest(path: Path) -> None:
    """Notice damage to a file that has its digest beside it, as our own checkpoints do."""
    try:
        check_digest(path)
    except CheckpointError as error:
        raise WeightsError(str(error)) from error


def _read_folder(path: Path) -> dict[str, Any]:
    try:
        return read_folder(path)
    except CheckpointError as error:
        raise WeightsError(str(error)) from error


def _is_safetensors(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(9)[8:] == b"{"  # eight bytes of length, then a JSON header
    except OSError as error:
        raise WeightsError(f"{path}: cannot be opened ({error.strerror}); expected a file with weights") from error


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except safetensors.SafetensorError as error:
        raise WeightsError(f"{path}: damaged safetensors file ({error})") from error


def _read_pickle(path: Path) -> Any:
    """Only tensors, plain values and the NumPy numbers in which TSAM keeps its best score: no code can run."""
    scalar = np.float64(0).__reduce__()[0]
    names = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")  # before and since NumPy 2
    numbers = [*((scalar, name) for name in names), np.dtype, *map(type, map(np.dtype, "fdil"))]
    try:
        with torch.serialization.safe_globals(numbers):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes can fail in any way
        asked = re.search(r"GLOBAL ([\w.]+)", str(error)) if isinstance(error, pickle.UnpicklingError) else None
        if asked:
            raise WeightsError(
                f"{path}: refused, because it asks for {asked[1]}, which could run code; nothing of it was run. "
                "Save the weights alone, as a state dict or safetensors"
            ) from error
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise WeightsError(f"{path}: damaged, or not a file with weights ({reason})") from error


def _strip(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without the prefixes that DataParallel and torch.compile put before every key."""
    for prefix in ("module.", "_orig_mod."):
        if state and all(key.startswith(prefix) for key in state):
            state = _part(state, prefix)
    return state


def _part(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def _others(state: dict[str, Any], *used: str) -> tuple[str, ...]:
    """Keys that begin with none of `used`."""
    return tuple(key for key in state if not key.startswith(used))


def _unwrap(state: dict[str, Tensor], wrapped: str) -> tuple[dict[str, Tensor], frozenset[str]]:
    """Take away the name of the wrapper around shifted convolutions; returns the state and the shifted blocks."""
    pattern = re.compile(rf"^(.+)\.conv1\.{wrapped}\.")
    shifted = frozenset(match[1] for match in map(pattern.match, state) if match)
    return {pattern.sub(r"\1.conv1.", key): value for key, value in state.items()}, shifted


def _own(state: dict[str, Tensor], config: dict[str, Any] | None) -> WeightFile:
    settings = config or {}
    return WeightFile(
        format="tsam_dali",
        backbone=_part(state, "backbone."),
        head=_part(state, "head."),
        ignored=_others(state, "backbone.", "head."),
        shift=settings.get("shift_temporal", {}),
        normalize=settings.get("model", {}).get("normalize"),
    )


def _tsam(content: dict[str, Any]) -> WeightFile:
    parts = content["model_state"]
    state = _strip(parts["nn_backbone"])
    backbone, shifted = _unwrap(_part(state, "base_model."), "layer")
    unused_parts = (f"model_state.{name}" for name in parts if name not in ("nn_backbone", "last_fc"))
    return WeightFile(
        format="TSAM",
        backbone=backbone,
        head=_strip(parts.get("last_fc", {})),
        ignored=(*_others(content, "model_state"), *unused_parts, *_others(state, "base_model.")),
        shifted=shifted,
        shift={"edge": "keep"},
        normalize="none",
    )


def _tsm(state: dict[str, Tensor]) -> WeightFile:
    backbone, shifted = _unwrap(_part(state, "base_model."), "net")
    head = _part(state, "new_fc.") or _part(backbone, "fc.")  # without dropout TSM keeps the backbone's own layer
    backbone = {key: value for key, value in backbone.items() if not key.startswith("fc.")}
    return WeightFile(
        format="TSM",
        backbone=backbone,
        head=head,
        ignored=_others(state, "base_model.", "new_fc."),
        shifted=shifted,
        shift=TSM_SETTINGS,
        normalize="backbone",
    )


def _mmaction(state: dict[str, Tensor]) -> WeightFile:
    """In mmaction2 a convolution and its norm are one module: conv2.conv and conv2.bn are conv2 and bn2 elsewhere."""
    renamed = {}
    for key, value in _part(state, "backbone.").items():
        key = re.sub(r"conv(\d)\.bn\.", r"bn\1.", re.sub(r"(conv\d)\.conv\.", r"\1.", key))
        renamed[key.replace("downsample.conv.", "downsample.0.").replace("downsample.bn.", "downsample.1.")] = value
    backbone, shifted = _unwrap(renamed, "net")
    return WeightFile(
        format="mmaction2 TSM",
        backbone=backbone,
        head=_part(state, "cls_head.fc_cls."),
        ignored=_others(state, "backbone.", "cls_head.fc_cls."),
        shifted=shifted,
        shift=TSM_SETTINGS,
        normalize="backbone",
    )


def _plain(state: dict[str, Tensor], classifier: str) -> WeightFile:
    ignored = tuple(key for key in state if key.startswith(f"{classifier}."))
    backbone = {key: value for key, value in state.items() if key not in ignored}
    return WeightFile(format="timm or torchvision", backbone=backbone, ignored=ignored)
