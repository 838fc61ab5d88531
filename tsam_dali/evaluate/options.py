"""The options of an evaluation."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge

Average = Literal["logits", "probabilities"]


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """How the views of a video become one score; fields are arguments of `python -m tsam_dali.evaluate`."""

    average: Average = "logits"
    """What is averaged over the views of a video."""
    no_audio: bool = False
    """Replace the audio by silence; the scores with audio are computed too."""
    batch_size: Annotated[int, Ge(1)] = 16
    """Clips in a step of each rank, at most as many as there are videos. The number of ranks must not change it."""
