"""Names of timm's networks, weights and optimizers, read from its source: to import it takes seconds."""

import difflib
import re
from collections.abc import Collection
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path

from tsam_dali.config.sections import PUBLISHED, Model

TRANSFORMERS = ("vision_transformer", "deit", "eva")
FAMILIES = ("resnet", "resnetv2", "regnet", "efficientnet", "mobilenetv3", "convnext", *TRANSFORMERS)
"""Modules of timm whose networks take the shift."""
FAMILY_NAMES = (
    "ResNet (also -D, ResNeXt, wide, SE, ECA), ResNetV2, RegNet, MobileNet V2 to V4, EfficientNet V1 and V2, ConvNeXt, "
    "ViT (also DINOv2, CLIP, SigLIP), DeiT, EVA (also EVA-02, DINOv3)"
)


def timm_name(options: Model) -> str:
    """`arch` and `pretrain` as timm writes them: "resnet50" or, with a tag, "resnet50.a1_in1k"."""
    arch = options.arch.removesuffix("_timm")
    tagged = "." in arch or options.pretrain in ("none", "imagenet", *PUBLISHED)
    return arch if tagged else f"{arch}.{options.pretrain}"


def network_problem(options: Model) -> str:
    """Why timm has no such network that takes the shift, or no such weights for it; "": it has."""
    arch, _, tag = timm_name(options).partition(".")
    names = [name for family in FAMILIES for name in re.findall(r"@register_model\ndef (\w+)\(", _source(family))]
    if arch not in names:
        near = difflib.get_close_matches(arch, names, 3)
        hint = f"did you mean {', '.join(near)}? " if near else ""
        return f"model.arch: {arch!r} is not a known network that takes the shift; {hint}Known: {FAMILY_NAMES}"
    listed = arch.replace("_clip_quickgelu_", "_clip_")  # with weights that timm lists under this name
    tags = [found for family in FAMILIES for found in re.findall(rf"['\"]{listed}\.(\w+)['\"]:", _source(family))]
    if tag and tag not in tags:
        known = ", ".join(["none", *(["imagenet", *tags] if tags else []), *PUBLISHED])
        return f"timm has no weights {tag!r} for {arch}; model.pretrain can be: {known}"
    return ""


def optimizer_problem(name: str, known: Collection[str] = ()) -> str:
    """Why timm has no optimizer of this name; "": it has. `known`: those that it has here; default: anywhere."""
    registered = r"(?:OptimInfo|register_alias)\(\s*(?:name=)?['\"](\w+)['\"]"
    known = known or re.findall(registered, _source("_optim_factory", "optim"))
    if name.lower() in known:
        return ""
    nearest = ", ".join(difflib.get_close_matches(name, known, 3)) or "see timm.optim.list_optimizers()"
    return f"optimizer_param.name: timm has no optimizer {name!r}; nearest: {nearest}"


@cache
def _source(module: str, folder: str = "models") -> str:
    found = PathFinder.find_spec("timm")
    assert found
    assert found.origin
    return Path(found.origin).parent.joinpath(folder, f"{module}.py").read_text(encoding="utf-8")
