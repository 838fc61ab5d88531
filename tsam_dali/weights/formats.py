"""The format of a weight file, recognised by its keys; tensors are renamed to timm's names.

    format          keys of a shifted block's first convolution and of the head
    tsam_dali       backbone.layer1.0.conv1.weight                      head.weight
    TSAM            nn_backbone: base_model.layer1.0.conv1.layer.weight last_fc: weight
    TSM             module.base_model.layer1.0.conv1.net.weight         module.new_fc.weight
    mmaction2 TSM   backbone.layer1.0.conv1.conv.net.weight             cls_head.fc_cls.weight
    plain           layer1.0.conv1.weight                               (a classifier of images, not used)

TSM, https://github.com/mit-han-lab/temporal-shift-module; mmaction2, https://github.com/open-mmlab/mmaction2;
TSAM, https://github.com/aav-antonov/TSAM; plain are timm's files, and those of torchvision's ResNets, whose tensors
have timm's names (torchvision's other families have names of their own, and are refused).
"""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from tsam_dali.weights.class_names import meanings
from tsam_dali.weights.read import WeightsError, read_content

STATES = ("ema", "state_dict_ema", "model_ema", "model", "state_dict", "model_state_dict", "net")
"""Keys under which checkpoints keep their weights; a moving average comes before what it averages."""
WRAPPERS = ("module.", "_orig_mod.", "model.")
"""Prefixes that DataParallel, torch.compile and Lightning put before every key."""
PIXELS = {1000: "backbone", 11221: "none"}
"""`model.normalize` by the number of image classes: ImageNet's own weights, of timm and torchvision, are trained
with mean and deviation; MIIL's ImageNet-21k (https://github.com/Alibaba-MIIL/ImageNet21K) with pixels 0..1."""
TSM_SETTINGS = {"f_div": 8, "shift_depth": 1, "edge": "zero", "causal": False}


@dataclass(frozen=True, kw_only=True)
class WeightFile:
    """The content of a weight file, under timm's names."""

    format: str
    backbone: dict[str, Tensor]
    """Without the image classifier."""
    head: dict[str, Tensor] = field(default_factory=dict)
    """`weight` (classes, F) and `bias` (classes,) of the head for clips, if there is one."""
    ignored: tuple[str, ...] = ()
    """Keys that are not used."""
    shifted: frozenset[str] | None = None
    """Names of the shifted blocks, if the keys show them."""
    shift: dict[str, Any] = field(default_factory=dict)
    """Settings of the section `shift_temporal` that the weights were trained with, as far as they are known."""
    normalize: str | None = None
    """`model.normalize` that the weights were trained with, if known."""
    class_names: tuple[str, ...] = ()
    """Of the head's classes, if the file names them."""

    @property
    def classes(self) -> int:
        """Rows of the head's weight, 0 if it has none."""
        weight = self.head.get("weight")
        return len(weight) if weight is not None and weight.ndim else 0


def read_weights(path: Path, classifier: str | tuple[str, ...]) -> WeightFile:
    """Read a weight file of any known format.

    Args:
        path: a file written by `torch.save`, or safetensors; or a folder that `tsam_dali.export` wrote.
        classifier: name of the layer that classifies images in plain weights, "fc" for a ResNet, or names.

    Raises:
        WeightsError: no such file, damaged, holds anything but tensors and plain values, or no known format.
    """
    content = read_content(path)
    file = _recognise(_by_text(content), classifier) if isinstance(content, dict) else None
    if file:
        return file
    found = ", ".join(map(str, list(content)[:8])) if isinstance(content, dict) else f"a {type(content).__name__}"
    raise WeightsError(f"{path}: found {found or 'nothing'}, expected a checkpoint or a state dict of tensors")


def _recognise(content: dict[str, Any], classifier: str | tuple[str, ...]) -> WeightFile | None:
    """The weights among the content; None if there are none."""
    parts = _section(content, "model_state")
    if "nn_backbone" in parts:
        return _tsam(content, parts)
    name = next((name for name in STATES if _tensors(_section(content, name))), None)
    entries = _section(content, name) if name else content
    state = _strip(_tensors(entries))
    if any(key.startswith("base_model.") for key in state):
        file = _tsm(state)
    elif "backbone.conv1.conv.weight" in state:
        file = _mmaction(state)
    elif any(key.startswith("backbone.") for key in state):
        file = _own(state, _section(content, "config"))
    elif state:
        file = _plain(state, classifier)
    else:
        return None
    used = ("format", "config") if file.format == "tsam_dali" else ()
    others = [key for key in content if key != name] if name else []
    unused = [*others, *_no_tensors(entries, f"{name}." if name else "")]
    return replace(file, ignored=(*file.ignored, *(key for key in unused if key not in used)))


def _by_text(entries: dict[Any, Any]) -> dict[str, Any]:
    """With all keys as text."""
    return {str(key): value for key, value in entries.items()}


def _section(content: dict[str, Any], name: str) -> dict[str, Any]:
    """A dict in a dict; empty where there is none."""
    section = content.get(name)
    return _by_text(section) if isinstance(section, dict) else {}


def _tensors(entries: dict[str, Any]) -> dict[str, Tensor]:
    """The tensors of a network; the counter of torch's AveragedModel is none."""
    return {key: value for key, value in entries.items() if isinstance(value, Tensor) and key != "n_averaged"}


def _no_tensors(entries: dict[str, Any], prefix: str) -> list[str]:
    """Full names of the entries that `_tensors` leaves out."""
    return [prefix + key for key in sorted(entries.keys() - _tensors(entries).keys())]


def _strip(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without the prefixes that wrappers put before every key, in whatever order."""
    for prefix in WRAPPERS:
        if state and all(key.startswith(prefix) for key in state):
            return _strip(_part(state, prefix))
    return state


def _part(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def _others(state: dict[str, Any], *used: str) -> tuple[str, ...]:
    """Keys without any of the prefixes `used`."""
    return tuple(key for key in state if not key.startswith(used))


def _unwrap(state: dict[str, Tensor], wrapped: str) -> tuple[dict[str, Tensor], frozenset[str]]:
    """Take away the name of the wrapper around shifted convolutions; returns the state and the shifted blocks."""
    pattern = re.compile(rf"^(.+)\.conv1\.{wrapped}\.")
    shifted = frozenset(match[1] for match in map(pattern.match, state) if match)
    return {pattern.sub(r"\1.conv1.", key): value for key, value in state.items()}, shifted


def _own(state: dict[str, Tensor], config: dict[str, Any]) -> WeightFile:
    shift = _section(config, "shift_temporal")
    return WeightFile(
        format="tsam_dali",
        backbone=_part(state, "backbone."),
        head=_part(state, "head."),
        ignored=_others(state, "backbone.", "head."),
        shift={"causal": False, **shift} if shift else {},  # files that do not name it are older than the setting
        normalize=_section(config, "model").get("normalize"),
        class_names=meanings(_section(config, "dataset")),
    )


def _tsam(content: dict[str, Any], parts: dict[str, Any]) -> WeightFile:
    entries, last = _section(parts, "nn_backbone"), _section(parts, "last_fc")
    state = _strip(_tensors(entries))
    backbone, shifted = _unwrap(_part(state, "base_model."), "layer")
    unused_parts = (f"model_state.{name}" for name in parts if name not in ("nn_backbone", "last_fc"))
    return WeightFile(
        format="TSAM",
        backbone=backbone,
        head=_strip(_tensors(last)),
        ignored=(
            *_others(content, "model_state"),
            *unused_parts,
            *_others(state, "base_model."),
            *_no_tensors(entries, "model_state.nn_backbone."),
            *_no_tensors(last, "model_state.last_fc."),
        ),
        shifted=shifted,
        shift={"status": bool(shifted), "edge": "keep", "causal": False},
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
        shift={"status": bool(shifted), **TSM_SETTINGS},
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
        shift={"status": bool(shifted), **TSM_SETTINGS},
        normalize="backbone",
    )


def _plain(state: dict[str, Tensor], classifier: str | tuple[str, ...]) -> WeightFile:
    layers = (classifier,) if isinstance(classifier, str) else classifier
    ignored = tuple(key for key in state if key.startswith(tuple(f"{layer}." for layer in layers)))
    backbone = {key: value for key, value in state.items() if key not in ignored}
    rows = next((len(state[key]) for key in ignored if state[key].ndim), 0)
    return WeightFile(format="timm or torchvision", backbone=backbone, ignored=ignored, normalize=PIXELS.get(rows))
