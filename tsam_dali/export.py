"""Export a trained network: to one file that runs without this project, to a folder, or to the Hugging Face Hub.

examples:
  python -m tsam_dali.export --checkpoint results/first/checkpoints/balanced_best network.onnx
      for onnxruntime (needs the extra `export`); network.pt2 is the same for torch.export.load
  python -m tsam_dali.export --checkpoint results/first/checkpoints/balanced_best --safetensors shared
      model.safetensors, config.json and a model card; --fine_tune and --checkpoint accept the folder
  python -m tsam_dali.export --checkpoint results/first/checkpoints/balanced_best --push OWNER/NAME --private
      the same to a repository on the Hub, and its address, hf://OWNER/NAME@COMMIT, which is accepted as well

A file is written only if its logits equal those of PyTorch. It also says how its inputs are made, see
`tsam_dali.inference.export_formats.read_preprocessing`.
"""

import argparse
import logging
from pathlib import Path

from pipelines.files.formats import DEMUXERS
from tsam_dali.cli.common import check_checkpoint, friendly_errors, importing, named, parser


@friendly_errors
def main() -> None:
    args = parse_arguments()
    logging.getLogger().setLevel(logging.WARNING)  # the ONNX exporter logs every constant
    check_checkpoint(args.checkpoint)

    # PyTorch takes seconds to import: arguments are checked before.
    with importing():
        from tsam_dali.inference.export_formats import check_format, write_network
        from tsam_dali.inference.preprocessing import preprocessing
        from tsam_dali.inference.share import push_network, write_shared
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
        write_shared(args.safetensors, trained, about, args.example)
        print(f"{args.safetensors}: weights, settings and model card")
        print(f"next: read {args.safetensors}/README.md, and predict with --checkpoint {args.safetensors}")
    if args.push:
        print(push_network(args.push, trained, about, args.example, args.private))


def parse_arguments() -> argparse.Namespace:
    command = parser("python -m tsam_dali.export", __doc__)
    add = command.add_argument
    add("out", nargs="?", type=named(".onnx", ".pt2"), metavar="OUT", help="file to write, OUT.onnx or OUT.pt2")
    add("--checkpoint", metavar="CKPT", required=True, help="checkpoint of a run, or a folder of --safetensors")
    add("--safetensors", metavar="DIR", type=Path, help="new folder for weights, settings and model card")
    push = "repository on the Hugging Face Hub for the same, made if it is not there; log in with `hf auth login`"
    add("--push", metavar="OWNER/NAME", help=push)
    add("--private", action="store_true", help="make the repository private")
    example = "a video that --safetensors and --push put beside the weights, and that the card shows"
    add("--example", metavar="VIDEO", type=named(*DEMUXERS), help=example)
    args = command.parse_args()
    if not (args.out or args.safetensors or args.push):
        command.error("nothing to write: give OUT.onnx, OUT.pt2, --safetensors DIR or --push OWNER/NAME")
    if args.example and not args.example.is_file():
        command.error(f"--example: there is no {args.example}")
    return args


if __name__ == "__main__":
    main()
