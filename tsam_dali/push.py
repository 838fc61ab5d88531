"""Upload a trained network with its settings and a model card to the Hugging Face Hub.

example:
  python -m tsam_dali.push --checkpoint results/first/checkpoints/balanced_best OWNER/NAME --private
      prints its address, hf://OWNER/NAME@COMMIT, which --checkpoint and `tsam_dali.load` take

The repository is made if it is not there; log in before with `hf auth login`. `export --push` does the same.
"""

import argparse
import re

from pipelines.files.formats import DEMUXERS
from tsam_dali.cli.common import check_checkpoint, friendly_errors, importing, named, parser


@friendly_errors
def main() -> None:
    args = parse_arguments()
    check_checkpoint(args.checkpoint)
    with importing():
        from tsam_dali.inference.share import push_to_hub

    print(push_to_hub(args.checkpoint, args.name, private=args.private, example=args.example))


def parse_arguments() -> argparse.Namespace:
    command = parser("python -m tsam_dali.push", __doc__)
    add = command.add_argument
    add("name", metavar="OWNER/NAME", help="repository on the Hub")
    add("--checkpoint", metavar="CKPT", required=True, help="checkpoint of a run, or a folder of weights with a card")
    add("--private", action="store_true", help="make the repository private")
    add("--example", metavar="VIDEO", type=named(*DEMUXERS), help="a video that the card shows")
    args = command.parse_args()
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", args.name):
        command.error(f"expected OWNER/NAME, got {args.name}")
    if args.example and not args.example.is_file():
        command.error(f"--example: there is no {args.example}")
    return args


if __name__ == "__main__":
    main()
