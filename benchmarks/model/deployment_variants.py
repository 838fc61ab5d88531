"""The ways to run an exported network that `benchmarks.model.deployment` measures, each in a process of its own."""

import time
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.harness.measure import MissingVariantError
from pipelines.parallel.malloc import keep_freed_memory
from tsam_dali.inference.export import openvino_file
from tsam_dali.inference.export.formats import FORMATS, ExportError, Run, check_format, read_preprocessing
from tsam_dali.inference.export.int8 import int8_path
from tsam_dali.weights.trained import build_trained

PYTORCH, ONNX, OPENVINO, BY_ITSELF, INT8 = (
    "PyTorch",
    "ONNX Runtime",
    "OpenVINO, float32",
    "OpenVINO, as it chooses",
    "OpenVINO, int8",
)
WAYS = (PYTORCH, ONNX, OPENVINO, BY_ITSELF, INT8)


class Running:
    """One way to run a network on one clip of random numbers, on the CPU.

    Args:
        way: one of WAYS.
        checkpoint: of the network.
        stem: of its exported files, without an ending.
        threads: that it may use; the process is pinned to as many cores.
    """

    def __init__(self, way: str, checkpoint: str, stem: Path, threads: int):
        keep_freed_memory()
        torch.set_num_threads(threads)
        xml, onnx = stem.with_suffix(".xml"), stem.with_suffix(".onnx")
        try:
            check_format(onnx if way == ONNX else xml)
        except ExportError as error:
            raise MissingVariantError(str(error)) from error
        about = read_preprocessing(xml)
        draws = torch.Generator().manual_seed(0)
        shapes = [about[name]["shape"][1:] for name in ("video", "audio") if about[name]]
        self._inputs = {
            name: torch.rand(1, *shape, generator=draws)
            for name, shape in zip(("video", "audio"), shapes, strict=False)
        }
        if way == PYTORCH:
            self._network, _, _ = build_trained(checkpoint)
            self._run: Run = self._pytorch
        elif way == ONNX:
            self._run = FORMATS[".onnx"].load(onnx)
        else:
            settings = openvino_file.EXACT if way == OPENVINO else {}
            if way == INT8 and not int8_path(xml).exists():
                raise MissingVariantError("lost accuracy")
            self._run = openvino_file.load(int8_path(xml) if way == INT8 else xml, settings)

    @torch.no_grad()
    def clips(self, count: int) -> tuple[float, float]:
        """CPU and wall milliseconds of a clip, the mean of so many."""
        cpu, wall = time.process_time(), time.perf_counter()
        for _ in range(count):
            self._run(self._inputs)
        return 1000 * (time.process_time() - cpu) / count, 1000 * (time.perf_counter() - wall) / count

    def _pytorch(self, inputs: dict[str, Tensor]) -> Tensor:
        return self._network(*inputs.values())
