"""The network: a 2D backbone with the temporal shift sees every segment of a clip, frames and sound alike.

    python -m tsam_dali.model --config config/kinetics400_config.json

prints its stages, where the shift is and what a clip costs.

B clips, S video segments, A audio segments; pictures of 3 colours and H x W pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tsam_dali.cli.common import add_config_arguments, friendly_errors, parser, positive
from tsam_dali.config.load import Config, load_config

if TYPE_CHECKING:
    from torch import nn


def build_model(config: Config, num_class: int) -> nn.Module:
    """The network of the settings with new weights; `tsam_dali.weights` fills in others.

    Its forward takes video (B, S, 3, H, W) with values 0..1 and audio (B, A, 3, H, W), None where A = 0; it gives
    logits (B, num_class).

    Raises:
        ModelError: a backbone that is not supported, or a shift that would move nothing.
    """
    from tsam_dali.network import TSAM  # imports torch, which takes seconds: after the command's arguments are checked

    return TSAM(config, num_class)


@friendly_errors
def main() -> None:
    command = parser("python -m tsam_dali.model", __doc__)
    add_config_arguments(command)
    command.add_argument("--num_class", type=positive, default=400, metavar="N", help="classes (default: %(default)s)")
    args = command.parse_args()
    config = load_config(args.data, args.config, args.set)

    import torch

    from tsam_dali.describe import describe

    with torch.device("meta"):  # shapes without memory or arithmetic
        network = build_model(config, args.num_class)
    print(describe(network, config.data_augmentation.video_image_param.output_size))


if __name__ == "__main__":
    main()
