"""The content of a weight file, read without running anything in it."""

import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from tsam_dali.weights.checkpoint import CheckpointError, check_digest
from tsam_dali.weights.export_folder import read_folder

NUMBERS = "?bhilqBHILQefdU"
"""NumPy's codes of booleans, whole and other numbers, and text: nothing that could hold an object."""


class WeightsError(ValueError):
    """Weights that cannot be read or fetched, or do not fit the network."""


def read_content(path: Path) -> Any:
    """What `torch.save` or safetensors wrote to a file, or `tsam_dali.export` to a folder; tensors arrive on the CPU.

    Raises:
        WeightsError: no such file, damaged, or or with anything but tensors and plain values.
    """
    try:
        if path.is_dir():
            return read_folder(path)
        check_digest(path)  # checkpoints of runs have their digest next to them
    except CheckpointError as error:
        raise WeightsError(str(error)) from error
    return _read_safetensors(path) if _is_safetensors(path) else _read_pickle(path)


def _is_safetensors(path: Path) -> bool:
    """Eight bytes that hold the length of a JSON header, and the header."""
    try:
        with path.open("rb") as file:
            start = file.read(9)
            return start[8:] == b"{" and int.from_bytes(start[:8], "little") < path.stat().st_size
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
    numbers: list[Any] = [*((scalar, name) for name in names), np.dtype, *map(type, map(np.dtype, NUMBERS))]
    try:
        with torch.serialization.safe_globals(numbers):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes can fail in any way
        text = str(error) or type(error).__name__
        asked = re.search(r"(?:GLOBAL |but got <class ')([\w.]+)", text)
        if asked and isinstance(error, pickle.UnpicklingError):
            raise WeightsError(
                f"{path}: refused, because it asks for {asked[1]}, which could run code; nothing of it was run. "
                "Save the weights alone, as a state dict or safetensors"
            ) from error
        reason = text.rpartition("WeightsUnpickler error:")[2].strip()  # without torch's advice to load it unsafely
        raise WeightsError(f"{path}: damaged, or not a file with weights ({reason.splitlines()[0]})") from error
