"""The clips with the largest loss, kept on the device during a pass: of classes, those that are wrong. B, S, A as in
`Batch`.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from pipelines.loader import Batch
from tsam_dali.training.task import ClassTask, Task

SHOWN_MISTAKES = 12
"""In a report."""
THUMBNAIL = 104
"""Height of the images that are kept, in pixels."""


class Mistake(NamedTuple):
    """A clip with a large loss; of classes one that was classified wrongly."""

    loss: float
    row: int  # row of the clip list
    label: Any  # of a class int; of labels or numbers the list of K
    prediction: Any  # the same
    probability: float  # of a predicted class, 0..1
    frames: np.ndarray  # uint8 (S, 3, h, w)
    spectrograms: np.ndarray | None  # uint8 (A, 3, h, w), lowest band in row 0


class WorstMistakes:
    """Collects over the batches of a pass; shapes are fixed, so nothing is read from the device before `gather`."""

    def __init__(self, k: int, task: Task | None = None):
        self._k, self._task = k, task or ClassTask()
        self._kept: dict[str, torch.Tensor] = {}

    @torch.no_grad()
    def add(self, logits: torch.Tensor, losses: torch.Tensor, batch: Batch) -> None:
        """logits (B, C), losses (B,); padding and unreadable clips are ignored."""
        wrong, found = batch.ok, {}
        if self._task.kind == "class":
            found["probability"], found["prediction"] = logits.float().softmax(1).max(1)
            wrong = wrong & (found["prediction"] != batch.label)
        else:
            found["prediction"] = self._task.outputs(logits.double())
        loss, worst = torch.where(wrong, losses.float(), -torch.inf).topk(min(self._k, len(losses)))
        new = {
            "loss": loss,
            "row": batch.row[worst],
            "label": batch.label[worst],
            **{name: tensor[worst] for name, tensor in found.items()},
            "frames": thumbnails(batch.video[worst]),
        }
        if batch.audio is not None:
            new["spectrograms"] = thumbnails(stretched(batch.audio[worst]))
        if self._kept:
            new = {name: torch.cat([self._kept[name], tensor]) for name, tensor in new.items()}
            order = new["loss"].topk(min(self._k, len(new["loss"]))).indices
            new = {name: tensor[order] for name, tensor in new.items()}
        self._kept = new

    def gather(self) -> list[Mistake]:
        """The k worst over all ranks, largest loss first, on rank 0; nothing elsewhere. Every rank must call it."""
        kept = {name: tensor.cpu().numpy() for name, tensor in self._kept.items()}
        mine = [
            Mistake(
                loss=float(kept["loss"][i]),
                row=int(kept["row"][i]),
                label=kept["label"][i].tolist(),
                prediction=kept["prediction"][i].tolist(),
                probability=float(kept["probability"][i]) if "probability" in kept else np.nan,
                frames=kept["frames"][i],
                spectrograms=kept["spectrograms"][i] if "spectrograms" in kept else None,
            )
            for i in range(len(kept.get("loss", ())))
            if kept["loss"][i] > -np.inf
        ]
        if not dist.is_initialized():
            return mine
        gathered: list[list[Mistake]] = [[] for _ in range(dist.get_world_size())]
        dist.gather_object(mine, gathered if dist.get_rank() == 0 else None)
        everyone = [mistake for part in gathered for mistake in part]
        return sorted(everyone, key=lambda mistake: (-mistake.loss, mistake.row))[: self._k]


def thumbnails(images: torch.Tensor, height: int = THUMBNAIL) -> torch.Tensor:
    """Images (B, T, 3, H, W), 0..1 -> uint8 (B, T, 3, h, w), h at most `height`."""
    h, w = images.shape[-2:]
    factor = min(1.0, height / h)
    size = (round(h * factor), max(1, round(w * factor)))
    small = F.interpolate(images.flatten(0, 1).float(), size, mode="bilinear", antialias=True)
    return (small.clamp(0, 1) * 255).round().to(torch.uint8).unflatten(0, images.shape[:2])


def stretched(images: Tensor) -> Tensor:
    """Each plane of (..., H, W), its lowest..highest value mapped to 0..1; a constant plane is black."""
    low, high = images.aminmax(dim=-1, keepdim=True)
    low, high = low.amin(-2, keepdim=True), high.amax(-2, keepdim=True)
    return (images - low) / (high - low).where(high > low, 1)
