"""Video classification with audio. `tsam_dali.load(path).predict(video)` classifies a video with a trained network."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tsam_dali.inference.predictor import Predictor

# OpenMP's threads spin for milliseconds while they wait for each other; with other busy processes around, the one that
# they wait for may have no core. This is a thirtieth of libgomp's default spin count: the short waits between two
# operators still need no system call. libgomp reads it when torch is loaded, so it must be set before.
if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
    os.environ["GOMP_SPINCOUNT"] = "10000"


def load(path: str | Path, device: str = "cpu") -> Predictor:
    """A trained network for video files: `load("results/first/checkpoints/balanced_best").predict("a.mp4")`.

    Args:
        path: checkpoint of a run, a folder of weights with a card, or a network on the Hugging Face Hub:
            hf://OWNER/NAME or, for good, hf://OWNER/NAME@COMMIT.
        device: where the network runs, "cpu" or "cuda".

    Raises:
        tsam_dali.weights.checkpoint.CheckpointError: it is missing, damaged, or of another program.
        tsam_dali.config.load.ConfigError: its settings are unknown here.
    """
    # imports torch, which takes seconds
    from tsam_dali.inference.predictor import Predictor

    return Predictor(path, device)


def push_to_hub(path: str | Path, name: str, *, private: bool = False, example: str | Path | None = None) -> str:
    """Upload a trained network, with a card, to the Hugging Face Hub; the address with which `load` loads it.

    Args:
        path: as for `load`.
        name: OWNER/NAME of a repository, which is made if it is not there.
        private: make it so that others cannot see it.
        example: a video that stands in the card.

    Raises:
        tsam_dali.weights.checkpoint.CheckpointError: as of `load`, or the Hub refuses it.
    """
    from tsam_dali.inference.share import push_to_hub

    return push_to_hub(path, name, private=private, example=example)
