"""Turn weights of any known format (TSAM, TSM, mmaction2, timm, torchvision) into a checkpoint of this project.

The settings say which network the weights are for; the checkpoint is one for --fine_tune, --validate and model.weights.
Weights that do not fit the network are refused, and what was loaded, new and not used is printed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tsam_dali.cli.common import add_config_arguments, check_checkpoint, friendly_errors, importing, parser
from tsam_dali.config import load_config
from tsam_dali.config.load import config_from_dict
from tsam_dali.config.sections import ShiftTemporal
from tsam_dali.model import build_model

if TYPE_CHECKING:
    from torch import nn

    from tsam_dali.weights.formats import WeightFile

LONGEST_PERIOD = 8  # values of n_insert that are tried for the shifted blocks of a file


@friendly_errors
def main() -> None:
    command = parser("python tools/import_weights.py", __doc__)
    command.epilog = "example: python tools/import_weights.py tsm.pth weights/tsm --set model.arch=resnet50"
    command.add_argument("source", metavar="IN", type=Path, help="file with weights, or a folder of an export")
    command.add_argument("target", metavar="OUT", type=Path, help="the checkpoint to write")
    add_config_arguments(command)
    command.add_argument("--force", action="store_true", help="replace OUT if it exists")
    args = command.parse_args()
    if args.target.exists() and not args.force:
        raise ValueError(f"{args.target}: exists already; choose another name, or replace it with --force")
    check_checkpoint(args.source)
    config = load_config(args.data, args.config, args.set)

    # PyTorch takes seconds to import: wrong arguments and settings are reported before.
    with importing():
        from tsam_dali.model.backbone import create_backbone
        from tsam_dali.weights import load_weights
        from tsam_dali.weights.checkpoint import save_checkpoint
        from tsam_dali.weights.formats import read_weights
        from tsam_dali.weights.load import check_fit
        from tsam_dali.weights.positions import resized

    backbone = create_backbone(config.model, config.data_augmentation.video_image_param.output_size)
    file, _ = resized(read_weights(args.source, backbone.pretrained_cfg["classifier"]), backbone)
    check_fit(backbone, file, str(args.source))
    shift = shift_of(file, backbone, config.shift_temporal)
    network = build_model(config, file.classes or 1)
    report = load_weights(network, args.source)
    settings = config.to_dict()
    settings["shift_temporal"] |= shift
    settings["model"]["normalize"] = file.normalize or config.model.normalize
    classes = len(network.head.weight)
    if len(settings["dataset"]["class_names"]) != classes:
        settings["dataset"]["class_names"] = []  # the names of other data; classes are then called by their numbers
    state = {name: value for name, value in network.state_dict().items() if name not in report.new}
    config_from_dict(settings)  # a file may name settings that are unknown here
    save_checkpoint(args.target, {"model": state, "config": settings, "history": [], "best": {}})
    shifted = f", with shift_temporal as in the file's training: {shift}" if shift else ""
    print(f"{report}\nwritten: {args.target}{shifted}")


def shift_of(file: WeightFile, backbone: nn.Module, options: ShiftTemporal) -> dict[str, Any]:
    """Settings of `shift_temporal` with which the weights were trained, if the file says so; they override `options`.

    Raises:
        WeightsError: no n_insert and m_insert give the blocks that the file shifts.
    """
    from tsam_dali.model.backbone import shift_places
    from tsam_dali.weights.read import WeightsError

    if not file.shifted:
        return file.shift
    names = {block: name for name, block in backbone.named_modules()}
    periods = ((n, m) for n in range(1, LONGEST_PERIOD + 1) for m in range(n))
    for n, m in ((options.n_insert, options.m_insert), *periods):
        if {names[block] for block, _ in shift_places(backbone, n, m)} == file.shifted:
            return {**file.shift, "n_insert": n, "m_insert": m}
    raise WeightsError(f"the file shifts {', '.join(sorted(file.shifted))}, which no shift_temporal.n_insert gives")


if __name__ == "__main__":
    main()
