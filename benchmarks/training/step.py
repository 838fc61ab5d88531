"""Time a step of training - forward, backward, optimizer - on a synthetic batch: TSAM's way beside ours.

With the trainer's own loop. TSAM's way: float32, contiguous, the shift as a clone with slices copied into it, and
malloc as it is. Variants of ours are named PRECISION-LAYOUT-MODE-PARTS: float32, bf16 or fp16; contiguous or
channels_last; eager or compile; 1 or 2 parts of the batch, one after another. On a GPU fp16-contiguous-eager-1 computes
as torchvision's reference scripts do with --amp.

example:
  python -m benchmarks.training.step --variants bf16-channels_last-eager-1 bf16-channels_last-compile-1
"""

import argparse
from functools import partial
from typing import Any

from benchmarks.harness.arguments import add_arch, add_device, benchmark_parser
from benchmarks.harness.measure import present_and_missing, quartiles, ratios, running, take_turns
from benchmarks.harness.plots import plot_figures
from benchmarks.harness.processes import choose_cores
from benchmarks.harness.results import origin, print_figures, write_results
from benchmarks.training.step_variants import MANNERS, TSAM, Size, Stepping
from tsam_dali.cli.common import friendly_errors

DEFAULTS = {
    "cpu": ["float32-contiguous-eager-1", "float32-channels_last-eager-1", "bf16-channels_last-eager-1"],
    "cuda": ["fp16-contiguous-eager-1", "bf16-channels_last-eager-1", "bf16-channels_last-compile-1"],
}
METHOD = {
    "clips_per_second": "clips of a step by its wall seconds; median and quartiles over the rounds",
    "cpu_seconds": "of all threads, for a step",
    "wall_speedup": "wall seconds of TSAM's way by those of this variant in the same round",
    "cpu_speedup": "CPU seconds of TSAM's way by those of this variant in the same round",
    "page_faults": "minor page faults of a step",
    "peak_mb": "largest resident memory of the variant's process, or of PyTorch on a GPU, in MB (10^6 bytes)",
    "gpu": "waited for before and after each step; every variant has cudnn.benchmark and TF32",
    "warm_up": "two steps of each variant before the first round; not counted",
    "order": "one process per variant, one step in turn, pinned to the same cores; each round begins with another one",
}


@friendly_errors
def main() -> None:
    args = _arguments()
    size = Size(args.arch, args.batch_size, args.segments, args.pixels, args.threads, args.device)
    cores, start = choose_cores(args.threads), origin()
    makers = {name: partial(Stepping, MANNERS[name], size) for name in (TSAM, *args.variants)}
    with running(makers, cores) as variants:
        present, missing = present_and_missing(variants)
        take_turns(present, 2, lambda variant: variant.call("step"), show=False)
        steps = take_turns(present, args.rounds, lambda variant: variant.call("step"))
        peaks = {variant.name: variant.call("peak_mb") for variant in present}
    figures = [_figure(name, steps, args.batch_size) | {"peak_mb": peaks[name]} for name in steps]
    print_figures(figures, list(figures[0]))
    for name, reason in missing.items():
        print(f"{name}: {reason}")
    method = METHOD | size._asdict() | {"rounds": args.rounds, "missing": missing}
    write_results(args.output, "step", method, figures, start)
    panels = {"Wall seconds per step": "wall_seconds", "CPU seconds per step": "cpu_seconds"}
    plot_figures(
        args.output,
        figures,
        "variant",
        panels,
        ours=lambda name: name != TSAM,
        title="A step of training",
    )


def _arguments() -> argparse.Namespace:
    numbers = {"batch_size": 4, "segments": 8, "pixels": 224, "rounds": 5, "threads": 2}
    command = benchmark_parser("training.step", __doc__, **numbers)
    add_arch(command, "resnet50")
    add_device(command)
    help_variants = "to measure beside TSAM's way (default: " + "; ".join(
        f"{' '.join(names)} on a {device} device" for device, names in DEFAULTS.items()
    )
    names = [name for name in MANNERS if name != TSAM]
    command.add_argument("--variants", nargs="+", choices=names, metavar="NAME", help=f"{help_variants})")
    args = command.parse_args()
    args.variants = args.variants or DEFAULTS[args.device]
    return args


def _figure(name: str, steps: dict[str, list[dict[str, float]]], batch_size: int) -> dict[str, Any]:
    taken, baseline = steps[name], steps[TSAM]
    figure = {
        "variant": name,
        "clips_per_second": quartiles([batch_size / step["wall"] for step in taken]),
        "wall_seconds": quartiles([step["wall"] for step in taken]),
        "cpu_seconds": quartiles([step["cpu"] for step in taken]),
        "page_faults": quartiles([step["page_faults"] for step in taken]),
    }
    for clock in ("wall", "cpu"):
        figure[f"{clock}_speedup"] = ratios((step[clock] for step in baseline), (step[clock] for step in taken))
    return figure


if __name__ == "__main__":
    main()
