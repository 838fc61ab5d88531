"""Backbones of hubs -> timm's name, and a file of weights: on the Hugging Face Hub, `model.arch` hf_hub:OWNER/NAME as
in timm, and those of torch.hub.

The settings of a run then name what timm has: a checkpoint needs no repository to be loaded.
"""

import json
from pathlib import Path
from typing import Any

from tsam_dali.config.sections import Model
from tsam_dali.config.timm_names import network_problem
from tsam_dali.config.torch_hub import PREFIX, TorchHubError, torch_hub_backbone

PREFIXES = ("hf_hub:", "hf-hub:")
WEIGHTS, SETTINGS = "model.safetensors", "config.json"


def hub_backbone(model: dict[str, Any], download: bool = False, run_code: bool = False) -> tuple[dict[str, Any], str]:
    """A section `model` in which timm's name stands for that of a repository, with the repository's weights unless
    `weights` or `pretrain` "none" say otherwise; and what is wrong, or "". A section with another `arch` stays.

    Args:
        download: whether what is not in the Hub's cache may be fetched.
        run_code: whether an entry of torch.hub may be run.
    """
    arch = model.get("arch")
    if not isinstance(arch, str) or not arch.startswith((*PREFIXES, PREFIX)):
        return model, ""
    wants_weights = not model.get("weights") and model.get("pretrain") != "none"
    if arch.startswith(PREFIX):
        try:
            name, weights, training = torch_hub_backbone(arch, run_code, wants_weights)
        except TorchHubError as error:
            return model, f"model.arch: {arch}: {error}"
        return _section(model, arch, name, weights if wants_weights else model.get("weights", ""), training)
    repository = arch.partition(":")[2]
    try:
        about = json.loads(_file(repository, SETTINGS, download).read_text(encoding="utf-8"))
        weights = str(_file(repository, WEIGHTS, download)) if wants_weights else model.get("weights", "")
        name = str(about["architecture"])
    except Exception as error:  # whatever the Hub's client and its network library raise, or is in the file
        reason = f"{str(error).strip() or type(error).__name__}".splitlines()[0]
        return model, (
            f"model.arch: {arch} cannot be read ({reason}); expected a network of timm with {SETTINGS} and {WEIGHTS}, "
            "in this machine's cache (HF_HOME) or fetched by --download"
        )
    training = about.get("pretrained_cfg", about)
    tagged = f"{name}.{training.get('tag')}"
    if training.get("tag") and not network_problem(Model(arch=tagged)):
        name = tagged
    return _section(model, arch, name, weights, training)


def _section(
    model: dict[str, Any], arch: str, name: str, weights: str, training: dict[str, Any]
) -> tuple[dict[str, Any], str]:
    if problem := _other_pixels(name, training) if model.get("normalize") == "backbone" else "":
        return model, f"model.arch: {arch} {problem}"
    return {**model, "arch": name, "weights": weights}, ""


def _file(repository: str, name: str, download: bool) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(repository, name, local_files_only=True))
    except LocalEntryNotFoundError:
        if not download:
            raise
    return Path(hf_hub_download(repository, name))


def _other_pixels(name: str, training: dict[str, Any]) -> str:
    """How the images of the training differ from those that timm knows of a network of this name; "": they do not."""
    import timm  # takes seconds

    known = timm.get_pretrained_cfg(name)
    for key in ("mean", "std"):
        if key in training and known and tuple(training[key]) != tuple(getattr(known, key)):
            return (
                f"was trained on pixels of {key} {training[key]}, timm's {name} on {list(getattr(known, key))}; only "
                "the latter is known here: set model.normalize=none"
            )
    return ""
