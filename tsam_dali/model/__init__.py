"""The network: a 2D backbone with the temporal shift runs on every segment of a clip, frames and spectrograms alike.

`python -m tsam_dali.model` prints it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tsam_dali.config.load import Config
    from tsam_dali.model.tsam import TSAM


def build_model(config: Config, num_class: int) -> TSAM:
    """The network of the settings with new weights; `tsam_dali.weights` loads others.

    Its forward takes video (B, S, 3, H, W) with values 0..1 and audio (B, A, 3, H, W), None where A = 0, and returns
    logits (B, num_class).

    Raises:
        ModelError: a backbone that is not supported, or a shift that would move nothing.
    """
    # imports torch, which takes seconds: not before a command has checked its arguments
    from tsam_dali.model.tsam import TSAM

    return TSAM(config, num_class)
