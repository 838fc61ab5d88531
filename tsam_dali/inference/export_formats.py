"""A network as one file that runs without this project: ONNX for onnxruntime, .pt2 for PyTorch.

Both take `video` (B, S, 3, H, W) and, for a network with audio, `audio` (B, A, 3, H, W), float32, for any number B of
clips, and give `logits` (B, classes). The file also says how the inputs are made, see `read_preprocessing`.
"""

import importlib
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipelines.files.atomic import temporary_path
from pipelines.files.words import counted

ONNX, PT2 = ".onnx", ".pt2"
KEY = "tsam_dali.preprocessing"
"""Under this name the file keeps the JSON text: ONNX in its metadata_props, .pt2 in its extra files."""
PACKAGES = ("onnx", "onnxruntime", "onnxscript")
BATCHES = (1, 3)
"""Numbers of clips of the check; the graph is traced with another one."""
TOLERANCE = 1e-4
"""Largest difference of the logits; above a largest logit of one its share, as float32 keeps seven digits of each."""


class ExportError(ValueError):
    """A network that cannot be exported, or an exported file that cannot be read."""


def write_network(path: Path, network: nn.Module, about: dict[str, Any]) -> float:
    """Write a network to `path`, .onnx or .pt2. The file appears there only after its logits have been compared.

    Args:
        network: in evaluation mode, float32, on the CPU.
        about: as from `tsam_dali.inference.preprocessing.preprocessing`.

    Returns:
        The largest difference to the logits of PyTorch.

    Raises:
        ExportError: another suffix, missing packages, other logits than PyTorch's, or a path that cannot be written.
    """
    check_format(path)
    write, load = (_write_onnx, _load_onnx) if path.suffix == ONNX else (_write_pt2, _load_pt2)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary_path(path) as temporary, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the exporters; the results are compared below
            write(temporary, _program(network, about), json.dumps(about))
            difference = _compare(path, network, load(temporary), about)
            temporary.replace(path)
    except OSError as error:
        raise ExportError(f"{path}: cannot be written ({error.strerror})") from error
    return difference


def check_format(path: Path) -> None:
    """Raises ExportError: the suffix names no format, or packages for it are missing."""
    if path.suffix not in (ONNX, PT2):
        raise ExportError(f"{path}: got the suffix {path.suffix!r}, expected {ONNX} or {PT2}")
    if path.suffix == ONNX:
        _need(*PACKAGES)


def read_preprocessing(path: str | Path) -> dict[str, Any]:
    """What an exported file says of its inputs: the values of `tsam_dali.inference.preprocessing.preprocessing`.

    Without this project: `json.loads` of the entry KEY of onnxruntime's `get_modelmeta().custom_metadata_map`, or of
    `extra_files` after `torch.export.load(path, extra_files=extra_files)` with `{KEY: ""}`.

    Raises:
        ExportError: another suffix, missing packages, or a file that is damaged or was not exported here.
    """
    path = Path(path)
    check_format(path)
    extra = {KEY: ""}
    try:
        if path.suffix == ONNX:
            import onnx

            extra |= {entry.key: entry.value for entry in onnx.load(path).metadata_props}
        else:
            torch.export.load(path, extra_files=extra)
    except Exception as error:  # the readers raise errors of many kinds for damaged files
        raise ExportError(f"{path}: cannot be read ({error})") from error
    if not extra[KEY]:
        raise ExportError(f"{path}: has no {KEY}, expected a file written by tsam_dali.export")
    return json.loads(extra[KEY])


def _need(*packages: str) -> None:
    for package in packages:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise ExportError(
                f"{ONNX} needs the package {package}; install the extra: pip install -e '.[export]'"
            ) from error


def _inputs(about: dict[str, Any], clips: int) -> dict[str, Tensor]:
    """Random inputs by name."""
    draws = torch.Generator().manual_seed(clips)
    shapes = {name: about[name]["shape"][1:] for name in ("video", "audio") if about[name]}
    return {name: torch.rand(clips, *shape, generator=draws) for name, shape in shapes.items()}


def _program(network: nn.Module, about: dict[str, Any]) -> torch.export.ExportedProgram:
    inputs = _inputs(about, 2)
    batch = torch.export.Dim("batch")
    with torch.no_grad():
        program = torch.export.export(
            network, tuple(inputs.values()), dynamic_shapes={name: {0: batch} for name in inputs}
        )
    _drop_resizing(program.graph_module)
    return program


def _drop_resizing(graph: torch.fx.GraphModule) -> None:
    """Without the resizing of position embeddings to the size that they have: timm exports it, and ONNX has none."""
    for node in graph.graph.nodes:
        if node.op == "call_function" and "_upsample_bicubic2d_aa" in str(node.target):
            source = node.args[0]
            if source.meta["val"].shape == node.meta["val"].shape:
                node.replace_all_uses_with(source)
    graph.graph.eliminate_dead_code()
    graph.recompile()


def _write_onnx(path: Path, program: torch.export.ExportedProgram, about: str) -> None:
    exported = torch.onnx.export(program, dynamo=True, external_data=False, output_names=["logits"], verbose=False)
    assert exported is not None  # with dynamo it is a program
    exported.model.metadata_props[KEY] = about
    exported.save(path, external_data=False)


def _load_onnx(path: Path) -> Callable[[dict[str, Tensor]], Tensor]:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def run(inputs: dict[str, Tensor]) -> Tensor:
        return torch.from_numpy(session.run(["logits"], {name: item.numpy() for name, item in inputs.items()})[0])

    return run


def _write_pt2(path: Path, program: torch.export.ExportedProgram, about: str) -> None:
    torch.export.save(program, path, extra_files={KEY: about})


def _load_pt2(path: Path) -> Callable[[dict[str, Tensor]], Tensor]:
    module = torch.export.load(path).module()
    return lambda inputs: module(*inputs.values())


def _compare(
    path: Path, network: nn.Module, run: Callable[[dict[str, Tensor]], Tensor], about: dict[str, Any]
) -> float:
    largest = 0.0
    for clips in BATCHES:
        inputs = _inputs(about, clips)
        with torch.no_grad():
            expected, got = network(*inputs.values()), run(inputs)
        difference = (got - expected).abs().max().item()
        if not difference <= TOLERANCE * max(1.0, expected.abs().max().item()):  # also for a difference of nan
            raise ExportError(
                f"{path}: not written, logits of {counted(clips, 'clip')} differ by {difference:.2g} from PyTorch's, "
                f"expected at most {TOLERANCE:g}"
            )
        largest = max(largest, difference)
    return largest
