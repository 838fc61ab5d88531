"""Backbones of torch.hub, `model.arch` torch_hub:FOLDER:ENTRY or torch_hub:FOLDER:ENTRY(ARGUMENT=VALUE, ...).

FOLDER is a checkout of a repository with a `hubconf.py`, ENTRY a function there, which makes a network. It is a program
that may do anything, so it runs only where that is allowed, and is never fetched. What it makes must be a network that
timm has as well: settings then keep timm's name, and the code is not needed again.
"""

import ast
import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tsam_dali.config.sections import Model
from tsam_dali.config.timm_names import network_problem

if TYPE_CHECKING:
    from torch import nn

PREFIX = "torch_hub:"
FORM = "torch_hub:FOLDER:ENTRY or torch_hub:FOLDER:ENTRY(ARGUMENT=VALUE)"
FOLDER = Path("weights")
RESNETS = (
    *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "wide_resnet50_2", "wide_resnet101_2"),
    *("resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d"),
)
"""Networks of torchvision, and others made of its classes, that timm has under these names."""
ROUNDING = 1e-5
"""Part of the largest output by which two networks that compute the same may differ."""


class TorchHubError(ValueError):
    """An entry of torch.hub that may not be run, fails, or makes another network."""


def torch_hub_backbone(arch: str, run_code: bool, keep_weights: bool) -> tuple[str, str, dict[str, Any]]:
    """timm's name of the network of an entry, the file in which its weights are now, and timm's facts of its training.

    Args:
        arch: see above.
        run_code: whether the entry may be run.
        keep_weights: else they are in no file, "".

    Raises:
        TorchHubError: see above.
    """
    form = re.fullmatch(r"(.+?):(\w+)(?:\((.*)\))?", arch.removeprefix(PREFIX), flags=re.DOTALL)
    if not form:
        raise TorchHubError(f"expected {FORM}")
    folder, entry = Path(form[1]).expanduser(), form[2]
    if not (folder / "hubconf.py").is_file():
        raise TorchHubError(f"there is no {folder / 'hubconf.py'}; expected {FORM}, FOLDER a checkout of a repository")
    if not run_code:
        raise TorchHubError(
            f"runs the code of {folder}, which may do anything that you may; read it, then call tsam_dali.train with "
            "--run_code"
        )
    network = _made_by(folder, entry, form[3] or "")
    name = _name_in_timm(network)
    if not name:
        raise TorchHubError(
            "makes no network of timm that takes the shift, nor a ResNet of torchvision; if timm has it by another "
            "name, save its weights with torch.save(network.state_dict(), FILE) and set model.weights=FILE"
        )
    weights = str(_save(network, f"{folder.resolve().name}_{entry}")) if keep_weights else ""
    return name, weights, getattr(network, "pretrained_cfg", {})


def _made_by(folder: Path, entry: str, arguments: str) -> "nn.Module":
    import torch  # takes seconds

    positions, named = _values(arguments)
    try:
        network = torch.hub.load(str(folder), entry, *positions, source="local", **named)
    except (Exception, SystemExit) as error:  # whatever the code raises
        lines = str(error).strip().splitlines()
        if lines and lines[0].startswith(f"Cannot find callable {entry} "):
            raise TorchHubError(f"{folder / 'hubconf.py'} has no function {entry}") from error
        raise TorchHubError(f"{type(error).__name__}: {lines[0] if lines else 'no message'}") from error
    if not isinstance(network, torch.nn.Module):
        raise TorchHubError(f"makes no network, but: {type(network).__name__}")
    return network.eval()


def _values(arguments: str) -> tuple[list[Any], dict[str, Any]]:
    """The values of arguments as Python writes them: those by position, those by name."""
    try:
        call = ast.parse(f"entry({arguments})", mode="eval").body
        assert isinstance(call, ast.Call)
        named = {word.arg or "": ast.literal_eval(word.value) for word in call.keywords}
        return [ast.literal_eval(word) for word in call.args], named
    except (SyntaxError, ValueError) as error:
        raise TorchHubError(f"({arguments}): expected values as Python writes them, such as 3, 'a' or True") from error


def _name_in_timm(network: "nn.Module") -> str:
    """The name of a network that computes the same; "": there is none that takes the shift."""
    import timm
    import torch

    about, state = getattr(network, "pretrained_cfg", {}), network.state_dict()
    own, size = about.get("architecture", ""), about.get("input_size", (3, 64, 64))
    shapes = {key: value.shape for key, value in state.items()}
    classes = getattr(network, "num_classes", len(state.get("fc.weight", ())))
    image = torch.rand(1, *size, generator=torch.Generator().manual_seed(0))
    for name in [own] if own else RESNETS:
        if network_problem(Model(arch=name, pretrain="none")):
            continue
        with torch.device("meta"):
            same = timm.create_model(name, num_classes=classes).eval()
        if {key: value.shape for key, value in same.state_dict().items()} != shapes:
            continue
        same.load_state_dict(state, assign=True)
        with torch.no_grad():
            logits = network(image)
            if (same(image) - logits).abs().max() <= ROUNDING * logits.abs().max():
                return name
    return ""


def _save(network: "nn.Module", name: str) -> Path:
    """Write the weights to a file whose name tells them from others of the same entry."""
    from safetensors.torch import save

    from pipelines.files.atomic import replacing

    content = save({key: value.contiguous() for key, value in network.state_dict().items()})
    path = FOLDER / f"{name}_{hashlib.sha256(content).hexdigest()[:8]}.safetensors"
    if not path.is_file():
        with replacing(path) as file:
            file.write_bytes(content)
    return path
