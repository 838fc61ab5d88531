"""From videos to a trained model by one command: lists, index, audio, a probe within minutes, then fine-tuning.

examples:
  python -m tsam_dali.fit my_data/videos --arch tf_efficientnet_lite0 --weights lite0.pth
      a folder with a sub-folder of videos for each class
  python -m tsam_dali.fit train.csv validate.csv --videos my_data/videos --download --minutes 120
      any list that `tsam lists` reads; missing weights are downloaded
  python -m tsam_dali.fit my_data/data.json --minutes 0
      a data set with lists; the probe alone

steps, each with what it leaves in the folder OUT:
  lists        data/: training.txt, validation.txt and data.json; a fifth of the clips is held out for validation
  index        data/index.jsonl: what every file holds; files that cannot be read are named and left out
  audio        data/mels: the log-mel store, if most of the clips have audio
  probe        features/, probe/: a linear classifier on what a trained backbone sees in the clips, and its report
  fine-tuning  fine_tuned/: if there is time for some epochs; an estimate is printed before. Training copies, in
               data/videos_256, are made first where making them and reading them saves a fifth of the time
  model        of probe and fine-tuning the network with the higher balanced accuracy on the validation clips
What is decided is printed with the reason. It is kept in data.json and config.json, with which tsam_dali.train goes on.

After Ctrl-C or a crash the same command goes on where it was stopped, for --minutes again. Without weights for the
backbone a small network is trained from random ones (scratch/, scratch.json); the same command with --download or
--weights then does the rest.
"""

import argparse
import os
import time
from pathlib import Path

from tsam_dali.cli.common import (
    add_device_argument,
    check_checkpoint,
    duration,
    friendly_errors,
    importing,
    make_folder,
    parser,
)
from tsam_dali.config.sections import Model
from tsam_dali.config.timm_names import network_problem
from tsam_dali.config.torch_hub import PREFIX
from tsam_dali.fit.data import lists_of, look_at
from tsam_dali.fit.steps import Steps, begin


@friendly_errors
def main() -> None:
    end = time.monotonic()
    args = parse_arguments()
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        raise ValueError("leave out torchrun; train with the files that this command writes on several GPUs")
    end += 60 * args.minutes
    if args.weights:
        check_checkpoint(args.weights)
    for path in filter(None, (args.source, args.validation, args.videos, args.classes)):
        if not path.exists():
            raise ValueError(f"{path}: does not exist")
    out: Path = args.out or Path("results") / f"fit_{args.source.absolute().stem}"
    make_folder(out)
    begin(out, args)
    steps = Steps(args.device)
    data = look_at(lists_of(args, out, steps), steps)

    # PyTorch takes seconds to import: what is given is checked before.
    with importing():
        from tsam_dali.fit.choice import RUN, is_finished, keep_best, probed
        from tsam_dali.fit.training import device_of, store_audio, train, weights_of

    weights = weights_of(args, data, steps)
    heard: dict[str, float] = {}
    if data.audio and not is_finished(out / RUN):
        store_audio(data, steps)
    if weights and data.dataset.task == "classes":
        heard = probed(weights, data, out, device_of(args.device).type == "cpu", steps)
    elif weights:
        steps.decide(f"no probe: it is for classes, and the task of these lists is {data.dataset.task}")
    train(args, weights, heard, data, out, end, steps)
    keep_best(out, data, steps)


def parse_arguments() -> argparse.Namespace:
    command = parser("python -m tsam_dali.fit", __doc__)
    add = command.add_argument
    source = (
        "folder with a sub-folder of videos for each class; a folder with training.txt, validation.txt and videos/; a "
        "list of the training clips, or of all, in any format of `tsam lists`; or a data file with lists "
        "(data.json)"
    )
    add("source", metavar="SOURCE", type=Path, help=source)
    add("validation", metavar="VALIDATION", type=Path, nargs="?", help="list or folder of the validation clips")
    add("--out", metavar="OUT", type=Path, help="folder for all that is made (default: results/fit_NAME of SOURCE)")
    add("--videos", metavar="DIR", type=Path, help="folder of the videos that lists name")
    add("--format", help="what SOURCE is, as in `tsam lists` (default: recognised)")
    add("--classes", metavar="FILE", type=Path, help="names of the classes, as in `tsam lists`")
    group = (
        "what the clips of a person or recording share: a regular expression that is looked for in each id; those with "
        "the same find are all held out, or none of them"
    )
    add("--group", metavar="REGEX", default="", help=group)
    add(
        "--minutes",
        type=duration("minutes"),
        default=20.0,
        help="time for everything, in minutes (default: %(default)g)",
    )
    add("--arch", metavar="NAME", help="backbone: a timm name (default: tf_efficientnet_lite0; on a GPU resnet50)")
    weights = "file with weights of the backbone (default: timm's, where they have been downloaded); needs --arch"
    add("--weights", metavar="FILE", type=Path, help=weights)
    add("--download", action="store_true", help="download timm's weights of the backbone if they are missing")
    add_device_argument(command)
    args = command.parse_args()
    if args.weights and not args.arch:
        command.error("--weights needs --arch: the backbone that they are for")
    if args.arch and args.arch.startswith(PREFIX):
        command.error(
            f"--arch: {args.arch} is for tsam_dali.train; here give a name of timm, and its weights as a file"
        )
    if args.arch and ":" not in args.arch and (problem := network_problem(Model(arch=args.arch))):
        command.error(f"--arch: {problem.removeprefix('model.arch: ')}")
    return args


if __name__ == "__main__":
    main()
