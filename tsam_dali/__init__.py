"""Video classification with sound. `tsam_dali.load(path).predict(video)` uses a trained network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tsam_dali.predictor import Predictor


def load(path: str | Path, device: str = "cpu") -> Predictor:
    """A trained network that takes video files: `load("results/first/checkpoints/balanced_best").predict("a.mp4")`.

    Args:
        path: checkpoint of a run, or a folder of weights with a card.
        device: where the network runs, "cpu" or "cuda".

    Raises:
        tsam_dali.checkpoint.CheckpointError: it is missing, damaged, or none of ours.
        tsam_dali.config.ConfigError: its settings are unknown here.
    """
    from tsam_dali.predictor import Predictor  # imports torch, which takes seconds: not for all who import this package

    return Predictor(path, device)
