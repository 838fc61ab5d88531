"""The options of embeddings and probes; fields are arguments of the commands."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge


@dataclass(frozen=True, kw_only=True)
class EmbedOptions:
    """How the features of clips are computed; fields are arguments of `python -m tsam_dali.embed`."""

    batch_size: Annotated[int, Ge(1)] = 16
    """Clips in a step of each rank. A file has those of four steps, so it must not change when a command goes on."""


@dataclass(frozen=True, kw_only=True)
class ProbeOptions:
    """How probes are trained and scored; fields are arguments of `python -m tsam_dali.probe`."""

    split: Literal["folds", "lists"] = "folds"
    """`folds`: each clip of both lists is scored once, by probes that were trained on the other folds. `lists`: trained
    on the training list, scored on the validation list."""
    folds: Annotated[int, Ge(2)] = 5
    """Number of folds; each has the same share of every class, as far as groups allow."""
    group: str = ""
    """What the clips of a person or recording share, as in tools/make_lists.py: a regular expression that is looked for
    in each id; clips with the same find, or the same find in its first brackets, are in one fold. Empty: pieces of a
    file share it."""
    seed: Annotated[int, Ge(0)] = 0
    """Seed of the folds and of the attentive probe."""
    linear_only: bool = False
    """Train the linear probes alone, without k-NN and attentive probes: the fastest answer."""
