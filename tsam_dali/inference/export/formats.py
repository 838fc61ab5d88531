"""A network as a file that runs without this project: ONNX for onnxruntime, .xml for OpenVINO, .pt2 for PyTorch.

All take `video` (B, S, 3, H, W) and, for a network with audio, `audio` (B, A, 3, H, W), float32, for any number B of
clips, and give `logits` (B, classes). The file also says how the inputs are made, see `read_preprocessing`.
"""

import importlib
import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from pipelines.files.atomic import temporary_path
from pipelines.files.words import counted
from tsam_dali.inference.export import openvino_file
from tsam_dali.inference.preprocessing import KEY

BATCHES = (1, 3)
"""Numbers of clips of the check; the graph is traced with another one."""
TOLERANCE = 1e-4
"""Largest difference of the logits; above a largest logit of one its share, as float32 keeps seven digits of each."""
Run = Callable[[dict[str, Tensor]], Tensor]
"""Inputs by name -> logits."""


class ExportError(ValueError):
    """A network that cannot be exported, or an exported file that cannot be read."""


def write_network(path: Path, network: nn.Module, about: dict[str, Any]) -> float:
    """Write a network to `path`, .onnx, .xml or .pt2. It appears there only after its logits have been compared.

    Args:
        network: in evaluation mode, float32, on the CPU.
        about: as from `tsam_dali.inference.preprocessing.preprocessing`.

    Returns:
        The largest difference to the logits of PyTorch.

    Raises:
        ExportError: another suffix, missing packages, other logits than PyTorch's, or a path that cannot be written.
    """
    check_format(path)
    form = FORMATS[path.suffix]
    with new_files(path) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporters; the results are compared below
        form.write(file, _program(network, about), json.dumps(about))
        return _compare(path, network, form.load(file), about)


@contextmanager
def new_files(path: Path) -> Iterator[Path]:
    """Where to write a network; the file, and what is written beside it, is then moved to the folder of `path`.

    Raises:
        ExportError: they cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary_path(path.with_suffix("")) as folder:
            folder.mkdir()
            yield folder / path.name
            *others, last = sorted(folder.iterdir())
            if others:
                path.unlink(missing_ok=True)  # an .xml never stands beside the .bin of another one
            for file in (*others, last):
                file.replace(path.with_name(file.name))
    except OSError as error:
        raise ExportError(f"{path}: cannot be written ({error.strerror})") from error


def check_format(path: Path) -> None:
    """Raises ExportError: the suffix names no format, or packages for it are missing."""
    if path.suffix not in FORMATS:
        raise ExportError(f"{path}: got the suffix {path.suffix!r}, expected {', '.join(FORMATS)}")
    form = FORMATS[path.suffix]
    need(path.suffix, form.extra, *form.packages)


def read_preprocessing(path: str | Path) -> dict[str, Any]:
    """What an exported file says of its inputs: the values of `tsam_dali.inference.preprocessing.preprocessing`.

    Without this project: `json.loads` of the entry KEY of onnxruntime's `get_modelmeta().custom_metadata_map`, or of
    `extra_files` after `torch.export.load(path, extra_files=extra_files)` with `{KEY: ""}`.

    Raises:
        ExportError: another suffix, missing packages, or a file that is damaged or was not exported here.
    """
    path = Path(path)
    check_format(path)
    try:
        text = FORMATS[path.suffix].about(path)
    except Exception as error:  # the readers raise errors of many kinds for damaged files
        raise ExportError(f"{path}: cannot be read ({error})") from error
    if not text:
        raise ExportError(f"{path}: has no {KEY}, expected a file written by tsam_dali.export")
    return json.loads(text)


def need(what: str, extra: str, *packages: str) -> None:
    """Raises ExportError: one of the packages that `what` needs is missing."""
    for package in packages:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise ExportError(
                f"{what} needs the package {package}; install the extra: pip install -e '.[{extra}]'"
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
    first, *others = program.graph_signature.user_inputs
    named: Any = {first: {0: "batch"}} | dict.fromkeys(others)  # else it has a number for a name
    how: dict[str, Any] = {"external_data": False, "output_names": ["logits"], "verbose": False}
    exported = torch.onnx.export(program, dynamo=True, dynamic_shapes=named, **how)
    assert exported is not None  # with dynamo it is a program
    exported.model.metadata_props[KEY] = about
    exported.save(path, external_data=False)


def _load_onnx(path: Path) -> Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def run(inputs: dict[str, Tensor]) -> Tensor:
        return torch.from_numpy(session.run(["logits"], {name: item.numpy() for name, item in inputs.items()})[0])

    return run


def _about_onnx(path: Path) -> str:
    import onnx

    return {entry.key: entry.value for entry in onnx.load(path).metadata_props}.get(KEY, "")


def _write_pt2(path: Path, program: torch.export.ExportedProgram, about: str) -> None:
    torch.export.save(program, path, extra_files={KEY: about})


def _load_pt2(path: Path) -> Run:
    module = torch.export.load(path).module()
    return lambda inputs: module(*inputs.values())


def _about_pt2(path: Path) -> str:
    extra = {KEY: ""}
    torch.export.load(path, extra_files=extra)
    return extra[KEY]


class Format(NamedTuple):
    """How a network becomes a file."""

    write: Callable[[Path, torch.export.ExportedProgram, str], None]
    load: Callable[[Path], Run]
    about: Callable[[Path], str]
    extra: str = ""
    packages: tuple[str, ...] = ()


FORMATS = {
    ".onnx": Format(_write_onnx, _load_onnx, _about_onnx, "export", ("onnx", "onnxruntime", "onnxscript")),
    ".xml": Format(openvino_file.write, openvino_file.load, openvino_file.about, "openvino", ("openvino",)),
    ".pt2": Format(_write_pt2, _load_pt2, _about_pt2),
}


def _compare(path: Path, network: nn.Module, run: Run, about: dict[str, Any]) -> float:
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
