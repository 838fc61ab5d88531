"""Print the network: its stages, which blocks are shifted, its parameters and the cost of a clip.

example:
  python -m tsam_dali.model --config config/kinetics400_config.json
"""

from tsam_dali.cli.common import add_config_arguments, friendly_errors, parser, positive
from tsam_dali.config.load import load_config


@friendly_errors
def main() -> None:
    command = parser("python -m tsam_dali.model", __doc__)
    add_config_arguments(command)
    command.add_argument(
        "--num_class", type=positive, default=400, metavar="N", help="number of classes (default: %(default)s)"
    )
    args = command.parse_args()
    config = load_config(args.data, args.config, args.set)

    import torch

    from tsam_dali.model import build_model
    from tsam_dali.model.summary import describe

    with torch.device("meta"):  # shapes without memory or arithmetic
        network = build_model(config, args.num_class)
    print(describe(network, config.data_augmentation.video_image_param.output_size))


if __name__ == "__main__":
    main()
