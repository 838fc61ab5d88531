"""Score a checkpoint on the validation list of a data set: each video once, whatever the number of ranks.

examples:
  python -m tsam_dali.evaluate --checkpoint results/first/checkpoints/balanced_best
      the data that it was trained beside, as many clips per video as model_validation says
  torchrun --nproc_per_node 4 -m tsam_dali.evaluate --checkpoint CKPT --data my_data.json --protocol tsm-dense --crops 3
      ten dense clips with three crops each, as published for Kinetics, on four GPUs
  python -m tsam_dali.evaluate --checkpoint CKPT --no_audio
      with silence in place of the audio, and what the audio contributes

protocols:
  tsam       N clips (model_validation): the middle frames and the centre crop, then drawn frames and crops, which TSAM
             draws for all clips; without its mirroring and blur. The score is that of all N clips together; TSAM tells
             the best one after 1..N clips (docs/tsam.md)
  tsm-dense  10 clips: windows of 64 frames from evenly spaced starting points, centre crop
  centre     1 clip: the middle frames and the centre crop, as in the validation of a training (with --clips N: tsam)

results:
  predictions.jsonl  a line per video of the list: label, prediction, its five most probable classes, views that were
                     read; or why none was
  summary.json       scores, also after 1..N clips; videos that cannot be read, or not in all views; settings, versions
  classes.csv        videos expected and scored, recall, precision and F1 of each class
  confusion.png, report.html
Each of them says whether the network heard the audio. With more than five classes there is a top-5 accuracy, too.
Videos that cannot be read are left out of the scores and listed, however many there are.
"""

import argparse
import dataclasses
from pathlib import Path

from pipelines.parallel.malloc import keep_freed_memory
from tsam_dali.cli.common import add_device_argument, check_checkpoint, friendly_errors, parser, positive
from tsam_dali.config.load import change_config, check_changes
from tsam_dali.config.sections import EVALUATION_BATCH_SIZE
from tsam_dali.weights.class_names import check_class_names


@friendly_errors
def main() -> None:
    args = parse_arguments()
    keep_freed_memory()
    check_checkpoint(args.checkpoint)
    check_changes(args.data, args.set)
    if Path(args.checkpoint).is_dir() and not args.data:
        raise ValueError(
            f"{args.checkpoint}: a folder of weights does not know where the data lie: give --data FILE, too"
        )

    # PyTorch and DALI take seconds: wrong arguments have been told by now.
    from tsam_dali import distributed
    from tsam_dali.evaluation.evaluator import choose_views
    from tsam_dali.evaluation.runner import default_folder, report_evaluation
    from tsam_dali.weights.trained import network_of, read_trained

    trained = read_trained(args.checkpoint)
    config = change_config(trained.config, args.data, args.set)
    check_class_names(trained.config.dataset.class_names, config.dataset.class_names)
    job = distributed.start(args.device)
    network = network_of(dataclasses.replace(trained, config=config), args.checkpoint, job.device)
    folder = Path(args.output) if args.output else default_folder(args.checkpoint)
    views = choose_views(args.protocol, config, args.clips, args.crops)
    options = {"average": args.average, "no_audio": args.no_audio, "batch_size": args.batch_size}
    report_evaluation(network, config, job, views, folder, trained.class_names, args.checkpoint, **options)
    distributed.stop()


def parse_arguments() -> argparse.Namespace:
    command = parser("python -m tsam_dali.evaluate", __doc__)
    add = command.add_argument
    add("--checkpoint", metavar="CKPT", required=True, help="checkpoint of a run, or a folder of weights with a card")
    data = "JSON file of the data set (default: that of the training, whose place a folder of weights does not know)"
    add("--data", metavar="FILE", help=data)
    add("--protocol", choices=["tsam", "tsm-dense", "centre"], default="tsam", help="see above (default: %(default)s)")
    add("--clips", metavar="N", type=positive, help="clips per video (default: the protocol's)")
    three = "3: squares at both ends and in the middle of the longer side, as high as the video (default: 1)"
    add("--crops", type=int, choices=[1, 3], help=three)
    average = "what is averaged over the views of a video (default: %(default)s)"
    add("--average", choices=["logits", "probabilities"], default="logits", help=average)
    add("--no_audio", action="store_true", help="silence in place of the audio; also scored: with audio")
    add("--output", metavar="DIR", help="folder of the results (default: CKPT_evaluation)")
    change = "change a setting, e.g. pipeline.decode=gpu; may be repeated"
    add("--set", metavar="SECTION.KEY=VALUE", action="append", default=[], help=change)
    size = "clips in a step of each rank, at most as many as there are videos (default: %(default)s)"
    add("--batch_size", metavar="N", type=positive, default=EVALUATION_BATCH_SIZE, help=size)
    add_device_argument(command)
    return command.parse_args()


if __name__ == "__main__":
    main()
