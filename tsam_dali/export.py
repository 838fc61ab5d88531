"""Export a trained network: to one file that runs without this project, or to a folder with its weights.

examples:
  python -m tsam_dali.export --checkpoint results/first/checkpoints/balanced_best network.onnx
      for onnxruntime (needs the extra `export`); network.pt2 is the same for torch.export.load
  python -m tsam_dali.export --checkpoint results/first/checkpoints/balanced_best --safetensors shared
      model.safetensors, config.json and a model card; --fine_tune and --checkpoint accept the folder

A file is written only if its logits equal those of PyTorch. It also says how its inputs are made, see
`tsam_dali.inference.export_formats.read_preprocessing`.
"""

import argparse
import logging
from pathlib import Path

from tsam_dali.cli.common import check_checkpoint, friendly_errors, importing, named, parser


@friendly_errors
def main() -> None:
    args = parse_arguments()
    logging.getLogger().setLevel(logging.WARNING)  # the ONNX exporter logs every constant
    check_checkpoint(args.checkpoint)

    # PyTorch takes seconds to import: arguments are checked before.
    with importing():
        from tsam_dali.inference.export_formats import check_format, write_network
        from tsam_dali.inference.model_card import model_card
        from tsam_dali.inference.preprocessing import preprocessing
        from tsam_dali.weights.export_folder import write_folder
        from tsam_dali.weights.trained import network_of, read_trained

    if args.out:
        check_format(args.out)  # before the checkpoint is read
    trained = read_trained(args.checkpoint)
    network = network_of(trained, args.checkpoint)
    about = preprocessing(trained, network)
    if args.out:
        difference = write_network(args.out, network, about)
        print(f"{args.out}: logits differ by at most {difference:.2g} from PyTorch's")
    if args.safetensors:
        kept = {"config": trained.config.to_dict(), "history": trained.history}
        kept |= {"best": trained.best, "lists": trained.lists}
        write_folder(args.safetensors, trained.state, kept, model_card(trained, about))
        print(f"{args.safetensors}: weights, settings and model card")
        print(f"next: read {args.safetensors}/README.md, and predict with --checkpoint {args.safetensors}")


def parse_arguments() -> argparse.Namespace:
    command = parser("python -m tsam_dali.export", __doc__)
    add = command.add_argument
    add("out", nargs="?", type=named(".onnx", ".pt2"), metavar="OUT", help="file to write, OUT.onnx or OUT.pt2")
    add("--checkpoint", metavar="CKPT", required=True, help="checkpoint of a run, or a folder of --safetensors")
    add("--safetensors", metavar="DIR", type=Path, help="new folder for weights, settings and model card")
    args = command.parse_args()
    if not args.out and not args.safetensors:
        command.error("nothing to write: give OUT.onnx, OUT.pt2 or --safetensors DIR")
    return args


if __name__ == "__main__":
    main()
