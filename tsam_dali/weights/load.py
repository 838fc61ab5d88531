"""Load weights into the network: a file of any known format, or those of timm for a backbone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import timm
import torch
from torch import Tensor, nn

from pipelines.files.words import counted, first_of
from tsam_dali.config.load import Config
from tsam_dali.config.timm_names import timm_name
from tsam_dali.model.backbone import Backbone, is_transformer, shifts, timm_arguments
from tsam_dali.model.tsam import TSAM
from tsam_dali.weights.class_names import other_meaning
from tsam_dali.weights.formats import WeightFile, read_weights
from tsam_dali.weights.hub import local_path
from tsam_dali.weights.positions import resized
from tsam_dali.weights.read import WeightsError
from tsam_dali.weights.timm_zoo import timm_file

COMMON = (  # architectures that weight files are compared with, to name the right one in an error
    *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnet10t", "resnet50d", "seresnet50"),
    *("resnext50_32x4d", "wide_resnet50_2", "mobilenetv2_100", "mobilenetv3_large_100", "efficientnet_b0"),
    *("resnetv2_50", "regnety_016", "convnext_tiny", "vit_tiny_patch16_224", "vit_small_patch16_224"),
    *("vit_base_patch16_224", "vit_base_patch32_224", "vit_small_patch16_dinov3", "vit_base_patch16_dinov3"),
)
SHOWN = 6  # names of a kind in an error; files of another architecture differ in hundreds


@dataclass(frozen=True, kw_only=True)
class LoadReport:
    """Which tensors of a file were loaded; `str()` gives a few lines of text."""

    source: str
    format: str
    loaded: tuple[str, ...]
    """Names, in the network, of the tensors that came from the file."""
    new: tuple[str, ...]
    """Names of the parameters that keep the values they had: the head's, or none."""
    ignored: tuple[str, ...]
    """Keys of the file that are not used."""
    notes: tuple[str, ...]
    """Why something is new, and settings in which the file differs from the network."""
    differs: bool = False
    """Whether there are such settings."""
    head: str = ""
    """Why the head comes from the file, in words; empty: it does not."""

    def __str__(self) -> str:
        lines = [f"{self.source}: {self.format} weights, {counted(len(self.loaded), 'tensor')} loaded"]
        if self.head:
            lines.append(f"  head: {self.head}")
        if self.new:
            lines.append(f"  new: {', '.join(self.new)}")
        if self.ignored:
            lines.append(f"  not used: {_some(self.ignored)}")
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])


def load_weights(model: TSAM, path: str | Path, head: bool = True, class_names: Sequence[str] = ()) -> LoadReport:
    """Load a file into the network, completely or not at all.

    Args:
        model: from `build_model`; changed in place.
        path: checkpoint or state dict of this project, TSAM, TSM, mmaction2's TSM, timm or torchvision's ResNets; or
            a folder that `tsam_dali.export` wrote, also on the Hub (`tsam_dali.weights.hub`).
        head: also load the last layer if the file has one for the same classes; else it is left unchanged.
        class_names: those of the data, if they are known; a file that names others has other classes.

    Raises:
        WeightsError: the file cannot be read, or a tensor of the backbone or the head is missing, left over, of another
            shape, or holds no finite numbers; the network is as before.
    """
    file = read_weights(local_path(path), model.backbone.pretrained_cfg["classifier"])
    file, resizing = resized(file, model.backbone)
    check_fit(model.backbone, file, str(path), head)
    state = {f"backbone.{name}": tensor for name, tensor in file.backbone.items()}
    reason = _no_head(model.head, file, class_names) if head else "left unchanged, as requested"
    if not reason:
        state |= {f"head.{name}": tensor for name, tensor in file.head.items()}
    model.load_state_dict(state, strict=False)  # old files lack num_batches_tracked, nothing else
    new = [f"head.{name}" for name in model.head.state_dict()] if reason else []
    notes = [*([f"head: {reason}"] if reason else []), *resizing]
    differences = list(_differences(model, file))
    classes = counted(model.head.out_features, "class", "classes")
    compared = "of the same names" if file.class_names and class_names else "(names are not known, and not compared)"
    return LoadReport(
        source=str(path),
        format=file.format,
        loaded=tuple(state),
        new=tuple(new),
        ignored=file.ignored,
        notes=(*notes, *differences),
        differs=bool(differences),
        head="" if reason else f"kept, the file has {classes} {compared}",
    )


def load_pretrained(model: TSAM, config: Config) -> LoadReport:
    """Load timm's weights for `model.arch` and `model.pretrain`, from the cache, into the backbone.

    Raises:
        WeightsError: they are not there, or damaged; says what to do.
    """
    name = timm_name(config.model)
    path = timm_file(name)
    size, source = config.data_augmentation.video_image_param.output_size, {"file": path, "custom_load": False}
    try:
        arguments = timm_arguments(config.model, size)
        weights = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=source, **arguments).state_dict()
    except Exception as error:  # damaged bytes can fail in any way
        reason = str(error).splitlines()[0]
        raise WeightsError(f"{path}: damaged ({reason}); delete it and fetch it again with --download") from error
    model.backbone.load_state_dict(weights)
    new = tuple(f"head.{key}" for key in model.head.state_dict())
    loaded = tuple(f"backbone.{key}" for key in weights)
    unlike = tuple(_unlike_timm(model))
    notes = ("head: new, these are weights of images", *unlike)
    return LoadReport(source=name, format="timm", loaded=loaded, new=new, ignored=(), notes=notes, differs=bool(unlike))


def check_fit(backbone: Backbone, file: WeightFile, path: str, head: bool = True) -> None:
    """Raise WeightsError unless the file holds exactly the tensors of the backbone and, if asked, a whole head."""
    expected = backbone.state_dict()
    problems = _problems(expected, file.backbone)
    advice = _advice(file.backbone) if any(_misfits(expected, file.backbone)) else []
    if head and file.head:
        last = nn.Linear(backbone.head_hidden_size, file.classes, device="meta")
        problems += _problems(last.state_dict(), file.head, "the head: ")
    if problems:
        arch = backbone.pretrained_cfg["architecture"]
        title = f"{path}: {file.format} weights that do not fit {arch}; nothing was loaded"
        raise WeightsError("\n".join([title, *problems, *advice]))


def _problems(expected: dict[str, Tensor], state: dict[str, Tensor], part: str = "") -> list[str]:
    """A line for each kind of misfit, with the names of the tensors."""
    missing, left_over, misshapen = _misfits(expected, state)
    weights = {key: tensor for key, tensor in state.items() if key in expected and expected[key].is_floating_point()}
    kinds = {
        "missing in the file": missing,
        "unknown to the network": left_over,
        "of another shape": misshapen,
        "no dense floating point numbers": [
            f"{key} {tensor.dtype}" for key, tensor in weights.items() if not _is_plain(tensor)
        ],
        "infinite or not a number": [
            key for key, tensor in weights.items() if _is_plain(tensor) and not tensor.float().isfinite().all()
        ],
    }
    return [f"{part}{what} ({len(names)}): {_some(names)}" for what, names in kinds.items() if names]


def _is_plain(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and tensor.layout == torch.strided and not tensor.is_meta


def _advice(state: dict[str, Tensor]) -> list[str]:
    arch = next((name for name in COMMON if _fits(name, state)), None)
    return [f"the file fits {arch}: use --set model.arch={arch}" if arch else "the file fits no common backbone"]


def _misfits(expected: dict[str, Tensor], state: dict[str, Tensor]) -> tuple[list[str], list[str], list[str]]:
    """Names that are missing in the state, left over in it, and of another shape."""
    missing = [key for key in expected if key not in state and not key.endswith("num_batches_tracked")]
    left_over = [key for key in state if key not in expected]
    misshapen = [
        f"{key} {tuple(state[key].shape)} instead of {tuple(tensor.shape)}"
        for key, tensor in expected.items()
        if key in state and state[key].shape != tensor.shape
    ]
    return missing, left_over, misshapen


def _fits(arch: str, state: dict[str, Tensor]) -> bool:
    return not any(_misfits(_without_memory(arch), state))


@cache
def _without_memory(arch: str) -> dict[str, Tensor]:
    """Names and shapes of a backbone's tensors."""
    with torch.device("meta"):
        state: dict[str, Tensor] = timm.create_model(arch, num_classes=0).state_dict()
    return state


def _no_head(head: nn.Linear, file: WeightFile, class_names: Sequence[str]) -> str | None:
    """Why the file's head cannot be used; None if it can."""
    if not file.head:
        return "new, the file has none for clips"
    if file.classes != head.out_features:
        return (
            f"new, because the file has {counted(file.classes, 'class', 'classes')} and the network {head.out_features}"
        )
    difference = other_meaning(file.class_names, class_names)
    return f"new, because {difference}" if difference else None


def _differences(model: TSAM, file: WeightFile) -> Iterator[str]:
    """Settings in which the file's training differs from the network."""
    if file.normalize not in (None, model.normalize):
        yield f"model.normalize is {model.normalize!r}, the file was trained with {file.normalize!r}"
    if not file.shift:  # image weights, or nothing known
        return
    shifted = file.shift.get("status", True)
    if shifted != model.shift_temporal.status:
        here = str(model.shift_temporal.status).lower()
        yield f"shift_temporal.status is {here}, the file was trained {'with' if shifted else 'without'} the shift"
    if not (shifted and model.shift_temporal.status):
        return
    for key, value in file.shift.items():
        if key == "tokens" and not is_transformer(model.backbone):  # means nothing here
            continue
        if not hasattr(model.shift_temporal, key):
            yield f"shift_temporal.{key} is unknown here, the file was trained with {value!r}"
        elif (here := getattr(model.shift_temporal, key)) != value:
            yield f"shift_temporal.{key} is {here!r}, the file was trained with {value!r}"
    blocks = {name for name, _ in shifts(model.backbone)}
    if file.shifted is not None and file.shifted != blocks:
        more, fewer = sorted(file.shifted - blocks), sorted(blocks - file.shifted)
        parts = [f"is {text} {_some(names)}" for text, names in (("also in", more), ("not in", fewer)) if names]
        yield f"shift_temporal.n_insert, m_insert: the shift of the file's training {' and '.join(parts)}"


def _unlike_timm(model: TSAM) -> Iterator[str]:
    """A normalisation that timm's weights expect and the network does not do."""
    mean, std = (", ".join(f"{value:.3g}" for value in part.flatten().tolist()) for part in (model.mean, model.std))
    if model.normalize == "none" and (mean, std) != ("0, 0, 0", "1, 1, 1"):
        yield (
            f"model.normalize is 'none', but these weights were trained on pixels minus {mean}, by {std}: "
            "set model.normalize=backbone"
        )


def _some(names: Sequence[str]) -> str:
    return ", ".join(first_of(names, SHOWN))
