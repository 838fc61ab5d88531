"""What frames and audio are worth to a network: inputs with both of them, and with one of them silenced."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch

from pipelines.loader import Batch
from tsam_dali.training.task import Task

BOTH, FRAMES, AUDIO = "both", "frames", "audio"
TITLES = {BOTH: "frames and audio", FRAMES: "frames alone", AUDIO: "audio alone"}
"""The kinds of input, as reports call them."""


def inputs(batches: Iterable[Batch], kinds: Sequence[str], silence: float) -> Iterator[Batch]:
    """Each batch once for each of the kinds: with all that it has, without its audio, with black frames.

    Args:
        silence: what spectrograms hold where there is no audio.
    """
    for batch in batches:
        for kind in kinds:
            if kind == FRAMES:
                assert batch.audio is not None
                yield batch._replace(audio=torch.full_like(batch.audio, silence))
            else:
                yield batch._replace(video=torch.zeros_like(batch.video)) if kind == AUDIO else batch


def main_scores(scores: Mapping[str, Any], task: Task) -> dict[str, Any]:
    """Those of all scores that sum up a validation."""
    return {name: scores[name] for name in task.shown}


def worth_in_words(worth: Mapping[str, Mapping[str, Any]], task: Task) -> list[str]:
    """A line for each kind of input; `worth` has their `main_scores`."""
    return [
        f"{TITLES[kind]}: "
        + ", ".join(f"{title} {task.text(name, scores[name])}" for name, title in task.shown.items())
        for kind, scores in worth.items()
    ]
