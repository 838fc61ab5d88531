"""A trained network as a folder to share: model.safetensors, config.json, preprocessing.json and a README.md.

config.json holds what a checkpoint holds besides the weights (`KEPT`), and the SHA-256 of model.safetensors. Paths in
the settings are cut to their last name. preprocessing.json is for other programs.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from pipelines.files.atomic import temporary_path
from tsam_dali.weights.checkpoint import FORMAT, CheckpointError, load_checkpoint, sha256

WEIGHTS, SETTINGS, INPUTS, CARD = "model.safetensors", "config.json", "preprocessing.json", "README.md"
KEPT = ("config", "history", "best")


def write_folder(
    folder: Path,
    tensors: dict[str, Tensor],
    about: dict[str, Any],
    inputs: dict[str, Any],
    card: str,
    example: Path | None = None,
) -> None:
    """Write a network to a new folder, atomically.

    Args:
        folder: must not exist, or be empty.
        tensors: the network's state dict.
        about: settings and scores, the keys `KEPT`, as in a checkpoint; and `lists`, if it is known.
        inputs: what `tsam_dali.inference.preprocessing` says of them.
        card: text of README.md.
        example: a video to be copied, see `example_name`.

    Raises:
        CheckpointError: the folder is not empty, or cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CheckpointError(f"{folder}: exists already, expected a new or an empty folder; choose another name")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with temporary_path(folder) as new:
            new.mkdir()
            contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
            safetensors.torch.save_file(contiguous, new / WEIGHTS, metadata={"format": "pt"})
            settings = {"format": FORMAT, "sha256": sha256(new / WEIGHTS)} | {key: about[key] for key in KEPT}
            settings["config"] = without_places(settings["config"])
            settings["lists"] = about.get("lists", {})
            (new / SETTINGS).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
            (new / INPUTS).write_text(json.dumps(inputs, indent=2) + "\n", encoding="utf-8")
            (new / CARD).write_text(card, encoding="utf-8")
            if example:
                shutil.copyfile(example, new / example_name(example))
            new.replace(folder)
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot be written ({error.strerror})") from error


def example_name(video: Path) -> str:
    """The name of the example of a network."""
    return f"example{video.suffix.lower()}"


def read_state(path: Path) -> dict[str, Any]:
    """The state of a checkpoint of a run, or of a folder that `write_folder` wrote; tensors arrive on the CPU.

    Raises:
        CheckpointError: it is missing, damaged, or of another program.
    """
    return read_folder(path) if path.is_dir() else load_checkpoint(path)


def read_folder(folder: Path) -> dict[str, Any]:
    """The state of a folder that `write_folder` wrote, with the keys of a checkpoint; tensors arrive on the CPU.

    Raises:
        CheckpointError: a file is missing, damaged, or not of this project.
    """
    for name in (SETTINGS, WEIGHTS):
        if not (folder / name).is_file():
            raise CheckpointError(
                f"{folder}: has no {name}; expected a folder written by "
                "tsam_dali.export; the checkpoints of a run are files, such as RUN/checkpoints/balanced_best"
            )
    try:
        about = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{folder / SETTINGS}: not a JSON file ({error})") from error
    if not isinstance(about, dict) or about.get("format") != FORMAT or not about.keys() >= {"sha256", *KEPT}:
        raise CheckpointError(f"{folder / SETTINGS}: not the settings of a network of tsam_dali")
    if sha256(folder / WEIGHTS) != about["sha256"]:
        raise CheckpointError(f"{folder / WEIGHTS}: damaged, its SHA-256 is not the one in {SETTINGS}")
    try:
        tensors = safetensors.torch.load_file(folder / WEIGHTS)
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"{folder / WEIGHTS}: not a safetensors file ({error})") from error
    kept = {key: about[key] for key in KEPT} | {"lists": about.get("lists", {})}
    return {"format": FORMAT, "model": tensors} | kept


def without_places(values: Any) -> Any:
    """Settings in which each absolute path is cut down to its last name."""
    if isinstance(values, dict):
        return {key: without_places(value) for key, value in values.items()}
    if isinstance(values, str) and Path(values).is_absolute():
        return Path(values).name
    return values
