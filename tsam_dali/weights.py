"""Weights into the network: from a file of any known format, or the ones that timm offers for a backbone."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import timm
import torch
from torch import Tensor, nn

from tsam_dali.backbone import shifts, timm_name
from tsam_dali.config import Config
from tsam_dali.weight_formats import WeightFile, WeightsError, read_weights

COMMON = (  # architectures that weight files are compared with, to name the right one in an error
    *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnet10t", "resnet50d", "seresnet50"),
    *("resnext50_32x4d", "wide_resnet50_2", "mobilenetv2_100", "mobilenetv3_large_100", "efficientnet_b0"),
    *("resnetv2_50", "regnety_016", "convnext_tiny"),
)
SHOWN = 6  # names of a kind in an error; files of another architecture differ in hundreds


@dataclass(frozen=True, kw_only=True)
class LoadReport:
    """What became of a file's tensors; `str()` gives a few lines for a person."""

    source: str
    format: str
    loaded: tuple[str, ...]
    """Names, in the network, of the tensors that came from the file."""
    new: tuple[str, ...]
    """Names of the parameters that keep the values they had: the head's, or none."""
    ignored: tuple[str, ...]
    """Keys of the file that are of no use here."""
    notes: tuple[str, ...]
    """Why something is new, and settings in which the file differs from the network."""

    def __str__(self) -> str:
        lines = [f"{self.source}: {self.format} weights, {len(self.loaded)} tensors loaded"]
        if self.new:
            lines.append(f"  new: {', '.join(self.new)}")
        if self.ignored:
            lines.append(f"  not used: {_some(self.ignored)}")
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])


def load_weights(model: nn.Module, path: str | Path, head: bool = True) -> LoadReport:
    """Load a file into the network, all of the backbone or nothing.

    Args:
        model: from `build_model`; changed in place.
        path: checkpoint or state dict of this project, TSAM, TSM, mmaction2's TSM, timm or torchvision; or a folder
            that `tsam_dali.export` wrote.
        head: also load the last layer, where the file has one for as many classes; else it stays as it is.

    Raises:
        WeightsError: the file cannot be read, or a tensor of the backbone is missing, left over or of another shape.
    """
    file = read_weights(Path(path), model.backbone.pretrained_cfg["classifier"])
    _check_fit(model.backbone, file, str(path))
    model.backbone.load_state_dict(file.backbone, strict=False)  # old files lack num_batches_tracked, nothing else
    loaded = [f"backbone.{name}" for name in file.backbone]
    new, notes = [], []
    reason = _no_head(model.head, file) if head else "left as it is, as asked"
    names = [f"head.{name}" for name in model.head.state_dict()]
    if reason:
        new, notes = names, [f"head: {reason}"]
    else:
        model.head.load_state_dict(file.head)
        loaded += names
    notes += _differences(model, file)
    return LoadReport(
        source=str(path),
        format=file.format,
        loaded=tuple(loaded),
        new=tuple(new),
        ignored=file.ignored,
        notes=tuple(notes),
    )


def load_pretrained(model: nn.Module, config: Config) -> LoadReport:
    """Load timm's weights for `model.arch` and `model.pretrain` into the backbone, downloading them on first use.

    Raises:
        WeightsError: they cannot be had; says what to do.
    """
    name = timm_name(config.model)
    try:
        weights = timm.create_model(name, pretrained=True, num_classes=0).state_dict()
    except Exception as error:  # whatever the hub's client and its network library raise
        raise WeightsError(
            f"model.pretrain: timm's weights for {name} cannot be had ({str(error).splitlines()[0]})\n"
            "train from scratch with --set model.pretrain=none, or use a file with --set model.weights=FILE"
        ) from error
    model.backbone.load_state_dict(weights)
    new = tuple(f"head.{key}" for key in model.head.state_dict())
    loaded = tuple(f"backbone.{key}" for key in weights)
    return LoadReport(source=name, format="timm", loaded=loaded, new=new, ignored=(), notes=())


def _check_fit(backbone: nn.Module, file: WeightFile, path: str) -> None:
    """Raise WeightsError unless the file holds exactly the tensors of the backbone."""
    missing, left_over, misshapen = _misfits(backbone, file.backbone)
    problems = {"missing in the file": missing, "unknown to the network": left_over, "of another shape": misshapen}
    lines = [f"{what} ({len(names)}): {_some(names)}" for what, names in problems.items() if names]
    if lines:
        arch = next((name for name in COMMON if _fits(name, file.backbone)), None)
        advice = f"the file fits {arch}: use --set model.arch={arch}" if arch else "the file fits no common backbone"
        lines = [f"{path}: {file.format} weights that do not fit {backbone.pretrained_cfg['architecture']}", *lines]
        raise WeightsError("\n".join([*lines, advice]))


def _misfits(backbone: nn.Module, state: dict[str, Tensor]) -> tuple[list[str], list[str], list[str]]:
    """Names that are missing in the state, left over in it, and of another shape."""
    expected = backbone.state_dict()
    missing = [key for key in expected if key not in state and not key.endswith("num_batches_tracked")]
    left_over = [key for key in state if key not in expected]
    misshapen = [
        f"{key} {tuple(state[key].shape)} instead of {tuple(tensor.shape)}"
        for key, tensor in expected.items()
        if key in state and state[key].shape != tensor.shape
    ]
    return missing, left_over, misshapen


def _fits(arch: str, state: dict[str, Tensor]) -> bool:
    with torch.device("meta"):  # names and shapes without memory
        return not any(_misfits(timm.create_model(arch, num_classes=0), state))


def _no_head(head: nn.Linear, file: WeightFile) -> str | None:
    """Why the file's head cannot be used; None if it can."""
    if not file.head:
        return "new, the file has none for clips"
    classes = len(file.head["weight"])
    if classes != head.out_features:
        return f"new, because the file has {classes} classes and the network {head.out_features}"
    return None


def _differences(model: nn.Module, file: WeightFile) -> Iterator[str]:
    """Settings of the file's training that the network does not have."""
    if file.normalize not in (None, model.normalize):
        yield f"model.normalize is {model.normalize!r}, the file was trained with {file.normalize!r}"
    if not file.shift:  # weights of pictures, or nothing known
        return
    shifted = file.shift.get("status", True)  # only own files tell
    if shifted != model.shift_temporal.status:
        here = str(model.shift_temporal.status).lower()
        yield f"shift_temporal.status is {here}, the file was trained {'with' if shifted else 'without'} the shift"
    if not (shifted and model.shift_temporal.status):
        return
    for key, value in {"causal": False, **file.shift}.items():  # files that do not name it are older than the setting
        if not hasattr(model.shift_temporal, key):
            yield f"shift_temporal.{key} is unknown here, the file was trained with {value!r}"
        elif (here := getattr(model.shift_temporal, key)) != value:
            yield f"shift_temporal.{key} is {here!r}, the file was trained with {value!r}"
    blocks = {name for name, _ in shifts(model.backbone)}
    if file.shifted is not None and file.shifted != blocks:
        more, fewer = sorted(file.shifted - blocks), sorted(blocks - file.shifted)
        parts = [f"is {text} {_some(names)}" for text, names in (("also in", more), ("not in", fewer)) if names]
        yield f"shift_temporal.n_insert, m_insert: the shift of the file's training {' and '.join(parts)}"


def _some(names: list[str] | tuple[str, ...]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
