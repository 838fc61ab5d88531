"""Write the features of all clips of a data set, for python -m tsam_dali.probe: once, by a network that stays as it is.

examples:
  python -m tsam_dali.embed --data my_data/data.json --arch resnet50 --weights resnet50.pth features/my
      a backbone with weights of images, such as timm's: every frame, and every piece of the audio, for itself
  python -m tsam_dali.embed --data my_data/data.json --checkpoint results/first/checkpoints/balanced_best features/first
      a trained network with its shift; its classes may be others
  torchrun --nproc_per_node 4 -m tsam_dali.embed --data my_data/data.json --arch resnet50 --weights W.pth features/my
      four GPUs

The clips of both lists are read as in a validation: middle frames, center crop. Of each the features of every frame and
of every audio segment are kept, their means, and a small image, in safetensors files with the ids of the clips. The
audio is that of the videos; where it is that of .wav files, or of pieces of files, tools/precompute_audio.py comes
first, with the same settings. Clips that cannot be read are left out and named at the end.

A command that was stopped goes on when it is started again; the files are then the same to the last byte. With another
network, list or setting it refuses the folder.
"""

import argparse
from pathlib import Path

from pipelines.files.words import counted
from pipelines.parallel.malloc import keep_freed_memory
from tsam_dali.cli.common import add_device_argument, check_checkpoint, friendly_errors, importing, is_main, parser
from tsam_dali.cli.dataclass_options import add_option_arguments, options_of
from tsam_dali.config.load import check_changes
from tsam_dali.probe.options import EmbedOptions


@friendly_errors
def main() -> None:
    args = parse_arguments()
    options = options_of(args, EmbedOptions)
    keep_freed_memory()
    check_checkpoint(args.checkpoint or args.weights)
    check_changes(args.data, args.set)

    # PyTorch and DALI take seconds to import: arguments are checked before.
    with importing():
        from tsam_dali import distributed
        from tsam_dali.probe import network as networks
        from tsam_dali.probe.embedding import embed
        from tsam_dali.weights.trained import read_trained

    if args.checkpoint:
        trained = read_trained(args.checkpoint)
        config = networks.trained_settings(trained, args.data, args.set)
        job = distributed.start(args.device)
        network = networks.trained_network(trained, args.checkpoint, config, job.device)
    else:
        config = networks.image_settings(args.arch, args.weights, args.data, args.set)
        job = distributed.start(args.device)
        config = distributed.on_rank_0(lambda: networks.with_audio_if_any(config, args.set))
        network = networks.image_network(config, job.device)
    features = embed(network, config, job, args.out, options)
    if is_main():
        audio = counted(features.config.num_spectrograms, "audio segment")
        segments = f"{counted(features.config.model.video_segments, 'frame')} and {audio}"
        print(f"{args.out}: {counted(len(features.ids), 'clip')}, {features.about['features']} features of {segments}")
        if features.unreadable:
            print(f"left out, as they cannot be read: {counted(len(features.unreadable), 'clip')}")
        for clip_id, reason in features.unreadable.items():
            print(f"left out: {clip_id}: {reason}")
    distributed.stop()


def parse_arguments() -> argparse.Namespace:
    command = parser("python -m tsam_dali.embed", __doc__)
    add = command.add_argument
    add("out", metavar="OUT", type=Path, help="folder for the features")
    add("--data", metavar="FILE", required=True, help="JSON file of the data set")
    which = command.add_mutually_exclusive_group(required=True)
    which.add_argument("--checkpoint", metavar="CKPT", help="checkpoint of a run, or a folder of weights with a card")
    which.add_argument("--arch", metavar="NAME", help="backbone: a timm name; needs --weights")
    add(
        "--weights", metavar="FILE", help="weights of the backbone, of any format that --fine_tune of the trainer takes"
    )
    add_option_arguments(command, EmbedOptions)
    change = "change a setting, e.g. model.video_segments=16; may be repeated"
    add("--set", metavar="SECTION.KEY=VALUE", action="append", default=[], help=change)
    add_device_argument(command)
    args = command.parse_args()
    if bool(args.arch) != bool(args.weights):
        command.error("--arch and --weights belong together: a backbone, and the file with its weights")
    return args


if __name__ == "__main__":
    main()
