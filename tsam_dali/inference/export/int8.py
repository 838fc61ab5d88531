"""A network of OpenVINO in eight bits, by NNCF: ranges from training clips, accuracy compared on validation clips.

Letters: B clips of a batch, S video segments, A audio segments, C classes.
"""

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from pipelines.dali.resources import without_a_gpu
from pipelines.dataset.clips import Clip
from pipelines.dataset.list_file import SPLITS
from pipelines.dataset.load import load_data
from pipelines.files.words import counted
from pipelines.loader import Batch, build_loader
from tsam_dali.config.load import Config
from tsam_dali.evaluate.evaluator import every_video
from tsam_dali.inference.export import openvino_file
from tsam_dali.inference.export.formats import ExportError, Run, need, new_files
from tsam_dali.inference.export.options import Int8Options
from tsam_dali.training.progress import Progress
from tsam_dali.training.tasks import AnyTask

MOST_LOST = 0.005
"""Of the score, 0..1: half a point."""
SCORES = {"class": "accuracy", "label": "mAP", "number": "ccc"}
"""What is compared, by the kind of the task."""
CPU = torch.device("cpu")
BATCH_SIZE = 8


class Compared(NamedTuple):
    """The score of both networks on the validation clips, 0..1."""

    title: str  # of the score
    clips: int
    floating: float
    int8: float

    def __str__(self) -> str:
        lost = 100 * (self.floating - self.int8)
        change = (
            f"{abs(lost):.1f} points {'below' if lost > 0 else 'above'} float's" if round(lost, 1) else "as float's"
        )
        return f"{self.title} {self.int8:.1%} on {counted(self.clips, 'validation clip')}, {change}"


def write_int8(path: Path, network: nn.Module, config: Config, task: AnyTask, options: Int8Options) -> Compared:
    """Write the network of `path`, an .xml of `write_network`, in eight bits to `int8_path(path)`.

    Args:
        network: the same in PyTorch.
        config: its settings, with the lists.
        task: what is scored.

    Raises:
        DataError: something is wrong with the lists.
        ExportError: it loses more than half a point, no clip can be read, or it cannot be written.
    """
    check_packages()
    out = int8_path(path)
    data = load_data(every_video(config), SPLITS)
    chosen = np.unique(np.linspace(0, len(data.clips["training"]) - 1, options.calibration_clips).round().astype(int))
    quantized = _quantized(path, network, _inputs(config, [data.clips["training"][row] for row in chosen.tolist()]))
    with new_files(out) as file:
        openvino_file.save(quantized, file)
        runs = {"float": openvino_file.load(path), "int8": openvino_file.load(file, {})}
        compared = _compare(runs, config, data.clips["validation"], task)
        if not compared.floating - compared.int8 <= MOST_LOST:
            raise ExportError(
                f"{out}: not written, {compared}; at most {100 * MOST_LOST:g} may be lost. {path} is kept; try more "
                f"--calibration_clips (these were {len(chosen)})"
            )
    return compared


def check_packages() -> None:
    """Raises ExportError: a package is missing."""
    need("--int8", "openvino", "openvino", "nncf")


def int8_path(path: Path) -> Path:
    """Where the network of `path` lies in eight bits."""
    return path.with_suffix(f".int8{path.suffix}")


def _quantized(path: Path, network: nn.Module, inputs: list[dict[str, np.ndarray]]) -> Any:
    import nncf

    nncf.set_log_level(logging.ERROR)
    attention = any("Attention" in type(module).__name__ for module in network.modules())
    with redirect_stdout(sys.stderr):  # its progress bars
        return nncf.quantize(
            openvino_file.core().read_model(path),
            nncf.Dataset(inputs, _as_floats),
            subset_size=len(inputs),
            preset=nncf.QuantizationPreset.MIXED,
            model_type=nncf.ModelType.TRANSFORMER if attention else None,
        )


def _inputs(config: Config, clips: Sequence[Clip]) -> list[dict[str, np.ndarray]]:
    """Of each clip `video` uint8 (1, S, 3, H, W) and, for a network with audio, `audio` float32 (1, A, 3, H, W).

    Raises:
        ExportError: none can be read.
    """
    found = []
    for batch in _batches(config, clips, "calibration"):
        for i in batch.ok.nonzero()[:, 0].tolist():
            one = {"video": (batch.video[i : i + 1] * 255).round().to(torch.uint8).numpy()}  # a quarter of the memory
            found.append(one if batch.audio is None else one | {"audio": batch.audio[i : i + 1].numpy().copy()})
    if not found:
        raise ExportError("--int8: none of the training clips can be read")
    return found


def _as_floats(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return inputs | {"video": inputs["video"].astype(np.float32) / 255}


def _compare(runs: dict[str, Run], config: Config, clips: Sequence[Clip], task: AnyTask) -> Compared:
    """The scores of both networks on the center view of each clip; ExportError: there is none."""
    sums = {name: task.validation_sums(clips, CPU) for name in runs}
    scored = 0
    for batch in _batches(config, clips, "validation"):
        inputs: dict[str, Tensor] = {"video": batch.video} | ({} if batch.audio is None else {"audio": batch.audio})
        scored += int(batch.ok.sum())
        for name, run in runs.items():
            logits = run(inputs)
            sums[name].add(task.plain_losses(logits, batch.label), logits, batch)
    key = SCORES[task.kind]
    found = [one.result().get(key) for one in sums.values()] if scored else []
    scores = [score for score in found if score is not None]
    if len(scores) < len(runs):
        raise ExportError(f"--int8: the validation clips have no {task.shown[key]}, so there is nothing to compare")
    return Compared(task.shown[key], scored, *scores)


def _batches(config: Config, clips: Sequence[Clip], title: str) -> Iterator[Batch]:
    """The clips as in a validation."""
    size = min(BATCH_SIZE, len(clips))
    loading = without_a_gpu(every_video(config), CPU)
    with build_loader(loading, "validation", clips, rank_batch=size, once=True) as loader:
        yield from Progress(loader, title, clips_per_step=size, show=True)
