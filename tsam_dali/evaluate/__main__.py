"""Evaluate a checkpoint on the validation list of a data set. The scores do not depend on the number of ranks.

examples:
  python -m tsam_dali.evaluate --checkpoint results/first/checkpoints/balanced_best
      the validation list of its training, model_validation clips per video
  torchrun --nproc_per_node 4 -m tsam_dali.evaluate --checkpoint CKPT --data my_data.json --protocol tsm-dense --crops 3
      ten dense clips with three crops each, as published for Kinetics, on four GPUs
  python -m tsam_dali.evaluate --checkpoint CKPT --no_audio
      with silence in place of the audio, and the difference that the audio makes

protocols:
  dense      N clips (model_validation): evenly spaced stretches, center crop; for networks trained with model.sampling
             dense, and their default
  tsam       N clips (model_validation): the middle frames and the center crop first, then random frames and crops. TSAM
             draws all clips at random, with mirroring and blur. The score is that of all N clips together; TSAM reports
             the best one after 1..N clips (docs/tsam.md). The default, but with model.sampling dense
  tsm-dense  10 clips: windows of 64 frames from evenly spaced starting points, center crop; not with model.sampling
             dense
  centre     1 clip: the middle frames, or the centred stretch, and the center crop, as in the validation of a training
             (with --clips N: tsam)

results:
  predictions.jsonl  a line per video of the list: label, prediction, its five most probable classes, number of views
                     that were read; or why the video cannot be read
  summary.json       scores, also after 1..N clips; of networks with audio those of frames alone, audio alone and both,
                     on the first clip; videos that cannot be read, or only some of their views; settings, versions
  classes.csv        videos expected and scored, recall, precision and F1 of each class
  confusion.png, report.html
  labels.csv         in place of these two where labels were learnt: average precision, AUROC and F1 of each; F1 and
                     predictions at the thresholds that the validation of the training chose
  numbers.csv        where numbers were learnt: MAE, R squared, Spearman and CCC of each, and the plot numbers.png
Each of them says whether audio was used. With more than five classes there is also a top-5 accuracy. Unreadable videos
are left out of the scores and listed, however many there are.
"""

import argparse
import dataclasses
import sys
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import get_args, get_type_hints

from pipelines.parallel.malloc import keep_freed_memory
from pipelines.sampling.views import Views
from tsam_dali.cli.common import add_device_argument, check_checkpoint, friendly_errors, importing, parser, positive
from tsam_dali.cli.dataclass_options import add_option_arguments, options_of
from tsam_dali.config.load import change_config, check_changes
from tsam_dali.evaluate.options import EvaluationOptions
from tsam_dali.weights.class_names import check_targets

VIEWS = get_type_hints(Views)


@friendly_errors
def main() -> None:
    args = parse_arguments()
    options = options_of(args, EvaluationOptions)
    keep_freed_memory()
    check_checkpoint(args.checkpoint)
    check_changes(args.data, args.set)
    if (Path(args.checkpoint).is_dir() or args.checkpoint.startswith("hf://")) and not args.data:
        raise ValueError(
            f"{args.checkpoint}: a folder of weights does not say where the data are: give --data FILE as well"
        )

    # PyTorch and DALI take seconds to import: arguments are checked before.
    with importing():
        from tsam_dali import distributed
        from tsam_dali.evaluate.evaluator import choose_views
        from tsam_dali.evaluate.runner import default_folder, report_evaluation
        from tsam_dali.training.tasks import task_of, thresholds_of
        from tsam_dali.weights.trained import network_of, read_trained

    trained = read_trained(args.checkpoint)
    config = change_config(trained.config, args.data, args.set)
    check_targets(trained.config.dataset, config.dataset)
    job = distributed.start(args.device)
    network = network_of(dataclasses.replace(trained, config=config), args.checkpoint, job.device)
    thresholds = thresholds_of(trained.history)
    outputs = len(trained.class_names)
    task = task_of(config.dataset, config.training_param, outputs, thresholds=thresholds, device=job.device)
    folder = Path(args.output) if args.output else default_folder(args.checkpoint)
    views = choose_views(args.protocol, config, args.clips, args.crops)
    with redirect_stdout(sys.stderr) if args.json else nullcontext():
        report_evaluation(network, config, job, views, folder, task, args.checkpoint, options)
    if args.json and job.is_main:
        print((folder / "summary.json").read_text(encoding="utf-8"), end="")
    distributed.stop()


def parse_arguments() -> argparse.Namespace:
    command = parser("python -m tsam_dali.evaluate", __doc__)
    add = command.add_argument
    add("--checkpoint", metavar="CKPT", required=True, help="checkpoint of a run, or a folder of weights with a card")
    data = "JSON file of the data set (default: that of the training; required for a folder of weights)"
    add("--data", metavar="FILE", help=data)
    add("--protocol", choices=get_args(VIEWS["protocol"]), help="see above (default: tsam, or dense)")
    add("--clips", metavar="N", type=positive, help="clips per video (default: the protocol's)")
    three = "3: square crops at both ends and in the middle of the longer side (default: %(default)s)"
    add("--crops", type=int, choices=get_args(VIEWS["crops"]), default=1, help=three)
    add_option_arguments(command, EvaluationOptions)
    add("--output", metavar="DIR", help="folder for the results (default: CKPT_evaluation)")
    add("--json", action="store_true", help="print summary.json; all else that is printed goes to standard error")
    change = "change a setting, e.g. pipeline.decode=gpu; may be repeated"
    add("--set", metavar="SECTION.KEY=VALUE", action="append", default=[], help=change)
    add_device_argument(command)
    return command.parse_args()


if __name__ == "__main__":
    main()
