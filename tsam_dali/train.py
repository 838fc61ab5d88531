"""Train TSAM on video files with audio.

examples:
  python -m tsam_dali.train
      the example in config/, on one device
  torchrun --nproc_per_node 4 -m tsam_dali.train --data my_data.json --config my_config.json --run_id first
      your own data on four GPUs
  python -m tsam_dali.train --data my_data.json --config my_config.json --set model.arch=resnet18 --dry_run
      one step of training and validation, to check that everything works
  python -m tsam_dali.train --data my_data.json --config my_config.json --check_gpu
      which decoder suits your clips and your GPU
"""

if __name__ == "__main__":
    from tsam_dali.runs.signals import hold_signals

    hold_signals()

import argparse
import logging
import os
import signal
import sys
from contextlib import nullcontext
from functools import partial
from typing import Any

from pipelines.dali.installed import check_dali
from pipelines.dataset.clip_columns import Clips
from pipelines.dataset.flip_labels import warn_of_sides
from pipelines.dataset.list_file import SPLITS
from pipelines.dataset.load import load_data
from pipelines.files.words import counted
from pipelines.parallel.malloc import keep_freed_memory
from pipelines.parallel.processes import STOPPING, block_signals
from pipelines.sampling.batch_order import TrainingOrder
from tsam_dali.cli.common import (
    add_config_arguments,
    add_device_argument,
    check_checkpoint,
    config_arguments,
    friendly_errors,
    importing,
    is_main,
    parser,
)
from tsam_dali.cli.example import ensure_example, ensure_example_audio
from tsam_dali.config.load import Config, load_config
from tsam_dali.config.sections import PUBLISHED
from tsam_dali.runs.folder import RunFolder
from tsam_dali.runs.signals import EXIT_CODE, Interrupted, StopRequest

log = logging.getLogger("tsam_dali")


@friendly_errors
def main() -> None:
    args = parse_arguments(__doc__)
    if not args.validate:
        check_dali()
    keep_freed_memory()
    config = load_config(args.data, args.config, args.set, args.download, args.run_code)
    if not (args.resume or args.fine_tune or args.validate or config.model.weights in ("", *PUBLISHED)):
        check_checkpoint(config.model.weights)
    prepare = partial(prepare_example if args.validate else prepare_data, args, config)
    alone = int(os.environ.get("WORLD_SIZE", 1)) == 1
    if args.check_gpu:
        sys.exit(print_check(args, config))

    with RunFolder(config, "dry_run" if args.dry_run else args.run_id) as folder:
        of_this_run = not args.validate and (args.resume or args.dry_run or not folder.checkpoints)
        stop = StopRequest()
        try:
            with folder.reported() if of_this_run else nullcontext():
                stop.install()
                prepared: Any = prepare() if alone else None
                # PyTorch and DALI take seconds to import: arguments, settings and, without other ranks, data are
                # checked before.
                with importing(), block_signals(*STOPPING):
                    from tsam_dali import distributed
                    from tsam_dali.runs.epochs import train, validate
                    from tsam_dali.runs.initial_network import weight_file
                job = distributed.start(args.device)
                if not alone:
                    prepared = distributed.on_rank_0(prepare)
                if args.validate:
                    validate(args, config, job, folder)
                else:
                    clips, num_class = prepared
                    clips = {split: distributed.on_every_machine(members) for split, members in clips.items()}
                    weights = distributed.on_rank_0(lambda: weight_file(args, config, folder))
                    train(args, config, job, clips, num_class, weights, folder, stop)
        except (Interrupted, KeyboardInterrupt) as stopped:
            if is_main():
                reason = str(stopped) or "ended by a second Ctrl-C"
                steps = counted(folder.step, "step is", "steps are")
                kept = f"; {steps} done and saved, continue with --resume auto" if of_this_run else ""
                log.warning("%s%s", reason, kept)
            sys.exit(EXIT_CODE if isinstance(stopped, Interrupted) else 128 + signal.SIGINT)
    distributed.stop()


def prepare_data(args: argparse.Namespace, config: Config) -> tuple[dict[str, Clips], int]:
    """The clips of both splits, and the number of classes; all problems of the data are found here."""
    prepare_example(args, config)
    data = load_data(config, SPLITS)
    log.info("%s", ", ".join(counted(len(members), f"{split} clip") for split, members in data.clips.items()))
    if config.data_augmentation.video_augmentation.RandomHorizontalFlip:
        warn_of_sides(config.dataset)
    options = config.training_param
    TrainingOrder(  # raises ValueError where the batch is too large
        num_clips=len(data.clips["training"]),
        batch_size=options.batch_size,
        seed=options.seed,
        repeats=options.repeats,
    )
    return data.clips, data.num_class


def print_check(args: argparse.Namespace, config: Config) -> int:
    """Print what a check of the GPU finds; 1, if there is nothing to check."""
    from tsam_dali import distributed

    distributed.check_alone()
    job = distributed.start(args.device)
    if job.device.type != "cuda" or config.pipeline.source == "frames":
        what = "there is no GPU" if job.device.type != "cuda" else "pipeline.source is frames"
        print(f"nothing to check: {what}, so pipeline.decode auto means cpu")
        return 1
    from tsam_dali.runs.gpu_check import check

    print(check(config, job, *prepare_data(args, config)).text)
    return 0


def prepare_example(args: argparse.Namespace, config: Config) -> None:
    """Make the example data set if it is to be used and does not exist."""
    ensure_example(config.dataset)
    if config.model.audio_segments:
        ensure_example_audio(config.dataset, config_arguments(args))


def parse_arguments(about: str) -> argparse.Namespace:
    """The arguments; `about` is shown by --help.

    Raises:
        ValueError: a checkpoint is not there.
    """
    command = parser("python -m tsam_dali.train", about)
    add_config_arguments(command)
    add = command.add_argument
    add("--run_id", help="name of the run's folder in results_folder (default: date and time)")
    resume = "continue from a checkpoint; auto: from the newest valid one of --run_id, or start if it has none"
    add("--resume", metavar="auto|CKPT", help=resume)
    force = "resume although settings or lists differ; at the start of the epoch if epochs have another length"
    add("--force", action="store_true", help=force)
    fine_tune = "start from these weights, of any known format; the last layer is kept if the classes are the same"
    add("--fine_tune", metavar="CKPT", help=fine_tune)
    validate = (
        "no training: evaluate a checkpoint on model_validation clips of each video, the middle one and random ones, "
        "by the sum of their logits (docs/tsam.md); results in CKPT_evaluation"
    )
    add("--validate", metavar="CKPT", help=validate)
    download = "download missing weights: those of model.pretrain (TSAM's or timm's), kinetics400, ..."
    add("--download", action="store_true", help=download)
    run_code = "run the code of a model.arch torch_hub:FOLDER:ENTRY, which may do anything that you may"
    add("--run_code", action="store_true", help=run_code)
    add_device_argument(command)
    dry_run = "one step of training and of validation and one checkpoint, then stop; not with --resume"
    add("--dry_run", action="store_true", help=dry_run)
    check_gpu = (
        "no training: compare frames and speed of NVDEC and CPU on clips of the data set, and print the table "
        "(docs/gpu.md); exit status 1 if there is nothing to check"
    )
    add("--check_gpu", action="store_true", help=check_gpu)
    args = command.parse_args()
    if args.resume == "auto" and not args.run_id:
        command.error("--resume auto needs --run_id")
    if args.resume and args.dry_run:
        command.error("--dry_run starts a run of its own: leave out --resume")
    if args.resume not in (None, "auto"):
        check_checkpoint(args.resume)
    for weights in filter(None, (args.fine_tune, args.validate)):
        if weights not in PUBLISHED:
            check_checkpoint(weights)
    return args


if __name__ == "__main__":
    main()
