"""A network as OpenVINO's .xml and .bin: written, run, and what it says of its inputs."""

import errno
import json
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tsam_dali.inference.preprocessing import KEY

EXACT = {"INFERENCE_PRECISION_HINT": "f32"}
"""For OpenVINO's compile_model, which by itself computes in bfloat16 on CPUs that can."""

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # without it, nothing is sent to Intel


def write(path: Path, program: torch.export.ExportedProgram, about: str) -> None:
    """Write a network with what it says of its inputs, JSON text."""
    import openvino

    inputs = {name: one["shape"][1:] for name, one in json.loads(about).items() if name in ("video", "audio") and one}
    model = openvino.convert_model(program)
    model.reshape({name: (-1, *shape) for name, shape in inputs.items()})
    model.output(0).set_names({"logits"})
    model.set_rt_info(about, KEY)
    save(model, path)


def save(model: Any, path: Path) -> None:
    """Write a model of OpenVINO, its weights as they are; OSError: it cannot be written."""
    import openvino

    try:
        openvino.save_model(model, path, compress_to_fp16=False)
    except RuntimeError as error:
        raise OSError(errno.EIO, str(error).strip().splitlines()[-1]) from error


def load(path: Path, settings: dict[str, str] = EXACT) -> Callable[[dict[str, Tensor]], Tensor]:
    """Inputs by name -> logits, on the CPU; settings as for OpenVINO's compile_model."""
    model = core().compile_model(path, "CPU", settings)

    def run(inputs: dict[str, Tensor]) -> Tensor:
        return torch.from_numpy(model({name: item.numpy() for name, item in inputs.items()})["logits"].copy())

    return run


def about(path: Path) -> str:
    """The JSON text of `write`; empty for a file of another program."""
    found = core().read_model(path).get_rt_info()
    return found[KEY].astype(str) if KEY in found else ""


@cache
def core() -> Any:
    """OpenVINO's `Core`, one for the whole process: each loads a CPU plugin with a stack for signal handlers, and where
    several end in another order than they began, the next signal, as Ctrl-C, ends the process with a segmentation
    fault."""
    import openvino

    return openvino.Core()
