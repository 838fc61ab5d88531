"""What backbones cost: parameters, GFLOPs of a clip, and a step of training on the CPU.

A step is forward, backward and optimizer on a synthetic batch, float32 and channels-last, with the trainer's own loop.

example:
  python -m benchmarks.training.backbones --archs resnet18 mobilenetv2_100 --rounds 3
"""

import argparse
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch

from benchmarks.harness.arguments import benchmark_parser
from benchmarks.harness.measure import quartiles, running, take_turns
from benchmarks.harness.plots import plot_figures
from benchmarks.harness.processes import choose_cores
from benchmarks.harness.results import origin, print_figures, write_results
from benchmarks.training.step_variants import MANNERS, Size, Stepping, settings
from benchmarks.training.trainer import NUM_CLASS
from tsam_dali.cli.common import friendly_errors
from tsam_dali.model import build_model
from tsam_dali.model.backbone import shifts
from tsam_dali.model.summary import cost

ARCHS = [
    *("resnet18", "resnet50", "resnext50_32x4d", "seresnet50", "regnety_016", "mobilenetv2_100"),
    *("mobilenetv3_large_100", "efficientnet_b0", "convnext_tiny"),
    *("vit_tiny_patch16_224", "deit_small_patch16_224", "vit_small_patch16_dinov3"),
]
MANNER = "float32-channels_last-eager-1"
METHOD = {
    "manner": MANNER,
    "gflops": "10^9 multiplications of one clip's forward pass, each with its addition",
    "million_parameters": "with the last layer",
    "num_class": NUM_CLASS,
    "wall_seconds": "of a step; median and quartiles over the rounds",
    "cpu_seconds": "the same, CPU time of all threads",
    "peak_mb": "largest resident memory of the backbone's process, in MB (10^6 bytes)",
    "warm_up": "one step of each backbone before the first round; not counted",
    "order": "one backbone after another, each in a process of its own: together they may not fit into memory",
}


@friendly_errors
def main() -> None:
    args = _arguments()
    cores, start = choose_cores(args.threads), origin()
    sizes = [Size(arch, args.batch_size, args.segments, args.pixels, args.threads) for arch in args.archs]
    figures = [_figure(size) | _steps(size, args.rounds, cores) for size in sizes]
    print_figures(figures, list(figures[0]))
    size = {name: value for name, value in sizes[0]._asdict().items() if name != "arch"}
    write_results(args.output, "backbones", METHOD | size | {"rounds": args.rounds}, figures, start)
    panels, title = {"Wall seconds": "wall_seconds", "CPU seconds": "cpu_seconds"}, "A step of training, by backbone"
    plot_figures(args.output, figures, "arch", panels, ours=lambda arch: True, title=title)


def _arguments() -> argparse.Namespace:
    numbers = {"batch_size": 1, "segments": 8, "pixels": 224, "rounds": 5, "threads": 2}
    command = benchmark_parser("training.backbones", __doc__, **numbers)
    help_archs = f"backbones, by timm's names (default: {' '.join(ARCHS)})"
    command.add_argument("--archs", nargs="+", default=ARCHS, metavar="NAME", help=help_archs)
    return command.parse_args()


def _figure(size: Size) -> dict[str, Any]:
    """What need not be measured."""
    with torch.device("meta"):
        network = build_model(settings(MANNERS[MANNER], size), NUM_CLASS)
    parameters, multiply_adds = cost(network, size.pixels)
    return {
        "arch": size.arch,
        "shifted_blocks": len({name for name, _ in shifts(network.get_submodule("backbone"))}),
        "million_parameters": round(parameters / 1e6, 2),
        "gflops": round(multiply_adds / 1e9, 2),
    }


def _steps(size: Size, rounds: int, cores: Sequence[int]) -> dict[str, Any]:
    with running({size.arch: partial(Stepping, MANNERS[MANNER], size)}, cores) as (variant,):
        variant.call("step")
        steps = take_turns([variant], rounds, lambda one: one.call("step"))[size.arch]
        return {
            "wall_seconds": quartiles([step["wall"] for step in steps]),
            "cpu_seconds": quartiles([step["cpu"] for step in steps]),
            "peak_mb": variant.call("peak_mb"),
        }


if __name__ == "__main__":
    main()
