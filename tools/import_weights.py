"""Turn weights of any known format (TSAM, TSM, mmaction2, timm, torchvision) into a checkpoint of this project.

The settings say which network the weights are for; the checkpoint is one for --fine_tune, --validate and model.weights.
Weights that do not fit the network are refused, and what was loaded, new and not used is printed.
"""

from pathlib import Path

from tsam_dali.backbone import create_backbone
from tsam_dali.checkpoint import save_checkpoint
from tsam_dali.command_line import add_config_arguments, friendly_errors, parser
from tsam_dali.config import load_config
from tsam_dali.model import build_model
from tsam_dali.weight_formats import WeightsError, read_weights
from tsam_dali.weights import load_weights


@friendly_errors
def main() -> None:
    command = parser("import_weights.py", __doc__)
    command.epilog = "example: python tools/import_weights.py tsm.pth weights/tsm --set model.arch=resnet50"
    command.add_argument("source", metavar="IN", type=Path, help="file with weights, or a folder of an export")
    command.add_argument("target", metavar="OUT", type=Path, help="the checkpoint to write")
    add_config_arguments(command)
    command.add_argument("--force", action="store_true", help="replace OUT if it exists")
    args = command.parse_args()
    if args.target.exists() and not args.force:
        raise WeightsError(f"{args.target}: exists already; choose another name, or replace it with --force")
    config = load_config(args.data, args.config, args.set)
    file = read_weights(args.source, create_backbone(config.model).pretrained_cfg["classifier"])
    network = build_model(config, len(file.head["weight"]) if file.head else 1)
    report = load_weights(network, args.source)
    settings = config.to_dict()
    settings["shift_temporal"] |= file.shift  # what the weights were trained with, as far as they tell
    settings["model"]["normalize"] = file.normalize or config.model.normalize
    classes = len(network.head.weight)
    if len(settings["dataset"]["class_names"]) != classes:
        settings["dataset"]["class_names"] = []  # the names of other data; classes are then called by their numbers
    state = {name: value for name, value in network.state_dict().items() if name not in report.new}
    save_checkpoint(args.target, {"model": state, "config": settings, "history": [], "best": {}})
    print(f"{report}\nwritten: {args.target}")


if __name__ == "__main__":
    main()
