"""The command line of the trainer."""

import argparse

from tsam_dali.cli.common import add_config_arguments, add_device_argument, check_checkpoint, parser


def parse_arguments(about: str) -> argparse.Namespace:
    """What was asked for; `about` is shown by --help.

    Raises:
        ValueError: a checkpoint is not there.
    """
    command = parser("python -m tsam_dali.train", about)
    add_config_arguments(command)
    add = command.add_argument
    add("--run_id", help="name of the run's folder in results_folder (default: date and time)")
    resume = "go on from a checkpoint; auto: the run's newest whole one, or begin if it has none (needs --run_id)"
    add("--resume", metavar="auto|CKPT", help=resume)
    force = "go on although settings or lists differ; with epochs of other lengths, from the beginning of the one begun"
    add("--force", action="store_true", help=force)
    fine_tune = "first weights, of any known format; the last layer is kept for the same classes, and else new"
    add("--fine_tune", metavar="CKPT", help=fine_tune)
    validate = (
        "no training: score a checkpoint on model_validation clips of each video, the middle one and drawn ones, all "
        "summed up (docs/tsam.md); results in CKPT_evaluation"
    )
    add("--validate", metavar="CKPT", help=validate)
    download = "fetch weights that are not here yet: those of model.pretrain (TSAM's or timm's), kinetics400, ..."
    add("--download", action="store_true", help=download)
    add_device_argument(command)
    dry_run = "one step of training and validation, one checkpoint, then stop; not with --resume"
    add("--dry_run", action="store_true", help=dry_run)
    args = command.parse_args()
    if args.resume == "auto" and not args.run_id:
        command.error("--resume auto needs --run_id")
    if args.resume and args.dry_run:
        command.error("--dry_run begins a run of its own: leave out --resume")
    if args.resume not in (None, "auto"):
        check_checkpoint(args.resume)
    for weights in filter(None, (args.fine_tune, args.validate)):
        if not weights.isidentifier():  # the names of published weights are
            check_checkpoint(weights)
    return args
