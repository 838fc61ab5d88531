"""Export a trained network: to a file that runs without this project, to a folder, or to the Hugging Face Hub.

examples:
  python -m tsam_dali.export --checkpoint results/first/checkpoints/balanced_best network.onnx
      for onnxruntime (needs the extra `export`); network.pt2 is the same for torch.export.load
  python -m tsam_dali.export --checkpoint results/first/checkpoints/balanced_best network.xml --int8
      for OpenVINO (needs the extra `openvino`), and network.int8.xml, which is kept if it loses at most half a point
  python -m tsam_dali.export --checkpoint results/first/checkpoints/balanced_best --triton models
      a model repository for NVIDIA's Triton Inference Server: from the bytes of a video to logits
  python -m tsam_dali.export --checkpoint results/first/checkpoints/balanced_best --safetensors shared
      model.safetensors, config.json and a model card; --fine_tune and --checkpoint accept the folder
  python -m tsam_dali.export --checkpoint results/first/checkpoints/balanced_best --push OWNER/NAME --private
      the same to a repository on the Hub, and its address, hf://OWNER/NAME@COMMIT, which is accepted as well

A file is written only if its logits equal those of PyTorch. It also says how its inputs are made, see
`tsam_dali.inference.export.formats.read_preprocessing`. In eight bits logits differ: there the scores on the validation
list are compared. Its videos, and some of those of the training list, must be at hand.
"""

import argparse
import logging
from pathlib import Path

from pipelines.files.formats import DEMUXERS
from tsam_dali.cli.common import check_checkpoint, friendly_errors, importing, named, parser
from tsam_dali.cli.dataclass_options import add_option_arguments, options_of
from tsam_dali.config.load import change_config, check_changes
from tsam_dali.inference.export.options import Int8Options


@friendly_errors
def main() -> None:
    args = parse_arguments()
    logging.getLogger().setLevel(logging.WARNING)  # the ONNX exporter logs every constant
    options = options_of(args, Int8Options)
    check_checkpoint(args.checkpoint)
    check_changes(args.data, ())

    # PyTorch takes seconds to import: arguments are checked before.
    with importing():
        from tsam_dali.inference.export import int8, triton
        from tsam_dali.inference.export.formats import check_format, write_network
        from tsam_dali.inference.preprocessing import preprocessing
        from tsam_dali.inference.share import push_network, write_shared
        from tsam_dali.training.tasks import task_of
        from tsam_dali.weights.class_names import check_targets
        from tsam_dali.weights.trained import network_of, read_trained

    # before the checkpoint is read
    if args.out:
        check_format(args.out)
    if options.int8:
        int8.check_packages()
    if args.triton:
        triton.check_packages()
    trained = read_trained(args.checkpoint)
    if options.int8:
        config = change_config(trained.config, args.data)
        check_targets(trained.config.dataset, config.dataset)
    network = network_of(trained, args.checkpoint)
    about = preprocessing(trained, network)
    if args.out:
        difference = write_network(args.out, network, about)
        print(f"{args.out}: logits differ by at most {difference:.2g} from PyTorch's")
    if options.int8:
        task = task_of(config.dataset, config.training_param, len(trained.class_names))
        print(f"{int8.int8_path(args.out)}: {int8.write_int8(args.out, network, config, task, options)}")
    if args.triton:
        difference = triton.write_triton(args.triton, network, about)
        print(f"{args.triton}: logits differ by at most {difference:.2g} from PyTorch's")
        print(f"next: tritonserver --model-repository {args.triton}")
    if args.safetensors:
        write_shared(args.safetensors, trained, about, args.example)
        print(f"{args.safetensors}: weights, settings and model card")
        print(f"next: read {args.safetensors}/README.md, and predict with --checkpoint {args.safetensors}")
    if args.push:
        print(push_network(args.push, trained, about, args.example, args.private))


def parse_arguments() -> argparse.Namespace:
    command = parser("python -m tsam_dali.export", __doc__)
    add = command.add_argument
    out = "file to write, OUT.onnx, OUT.xml or OUT.pt2"
    add("out", nargs="?", type=named(".onnx", ".xml", ".pt2"), metavar="OUT", help=out)
    add("--checkpoint", metavar="CKPT", required=True, help="checkpoint of a run, or a folder of --safetensors")
    add_option_arguments(command, Int8Options)
    data = "of --int8: JSON file of the data set (default: that of the training; required for a folder)"
    add("--data", metavar="FILE", help=data)
    add("--triton", metavar="DIR", type=Path, help="new folder for a model repository of Triton Inference Server")
    add("--safetensors", metavar="DIR", type=Path, help="new folder for weights, settings and model card")
    push = "repository on the Hugging Face Hub for the same, made if it is not there; log in with `hf auth login`"
    add("--push", metavar="OWNER/NAME", help=push)
    add("--private", action="store_true", help="make the repository private")
    example = "a video that --safetensors and --push put beside the weights, and that the card shows"
    add("--example", metavar="VIDEO", type=named(*DEMUXERS), help=example)
    args = command.parse_args()
    if not (args.out or args.safetensors or args.push or args.triton):
        command.error("nothing to write: give OUT.onnx, OUT.xml, OUT.pt2, --triton, --safetensors or --push")
    if args.int8 and (args.out is None or args.out.suffix != ".xml"):
        command.error("--int8 is for OpenVINO: give OUT.xml")
    if args.int8 and not args.data and (Path(args.checkpoint).is_dir() or args.checkpoint.startswith("hf://")):
        command.error("--int8: a folder of weights does not say where the data are: give --data FILE as well")
    if args.example and not args.example.is_file():
        command.error(f"--example: there is no {args.example}")
    return args


if __name__ == "__main__":
    main()
