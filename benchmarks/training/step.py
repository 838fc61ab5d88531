"""Time a step of training - forward, backward, optimizer - on a synthetic batch: TSAM's way beside ours.

On the CPU, with the trainer's own loop. TSAM's way: float32, contiguous, the shift as a clone with slices copied into
it, and malloc as it is. Variants of ours are named PRECISION-LAYOUT-MODE-PARTS: float32, bf16 or fp16; contiguous or
channels_last; eager or compile; 1 or 2 parts of the batch, one after another.

example:
  python -m benchmarks.training.step --variants bf16-channels_last-eager-1 bf16-channels_last-compile-1
"""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness.arguments import add_numbers
from benchmarks.harness.measure import quartiles, running, take_turns
from benchmarks.harness.plots import Bar, Panel, plot_bars
from benchmarks.harness.processes import choose_cores
from benchmarks.harness.results import add_output_argument, origin, print_table, write_results
from benchmarks.training.step_variants import MANNERS, TSAM, Size, Stepping
from tsam_dali.cli.common import friendly_errors, parser

DEFAULTS = ["float32-contiguous-eager-1", "float32-channels_last-eager-1", "bf16-channels_last-eager-1"]
METHOD = {
    "clips_per_second": "clips of a step by its wall seconds; median and quartiles over the rounds",
    "cpu_seconds": "of all threads, for a step",
    "wall_speedup": "wall seconds of TSAM's way by those of this variant in the same round",
    "cpu_speedup": "CPU seconds of TSAM's way by those of this variant in the same round",
    "page_faults": "minor page faults of a step",
    "peak_mb": "largest resident memory of the variant's process, in MB (10^6 bytes)",
    "warm_up": "two steps of each variant before the first round; not counted",
    "order": "one process per variant, one step in turn, pinned to the same cores; each round begins with another one",
}


@friendly_errors
def main() -> None:
    args = _arguments()
    size = Size(args.arch, args.batch_size, args.segments, args.pixels, args.threads)
    cores, start = choose_cores(args.threads), origin()
    makers = {name: partial(Stepping, MANNERS[name], size) for name in (TSAM, *args.variants)}
    with running(makers, cores) as variants:
        present = [variant for variant in variants if variant.missing is None]
        take_turns(present, 2, lambda variant: variant.call("step"), show=False)
        steps = take_turns(present, args.rounds, lambda variant: variant.call("step"))
        peaks = {variant.name: variant.call("peak_mb") for variant in present}
    missing = {variant.name: variant.missing for variant in variants if variant.missing is not None}
    figures = [_figure(name, steps, args.batch_size) | {"peak_mb": peaks[name]} for name in steps]
    _print(figures, missing)
    method = METHOD | size._asdict() | {"rounds": args.rounds, "missing": missing}
    write_results(args.output, "step", method, figures, start)
    _plot(figures, args.output.with_suffix(".png"))


def _arguments() -> argparse.Namespace:
    command = parser("python -m benchmarks.training.step", __doc__)
    add = command.add_argument
    help_variants = f"to measure beside TSAM's way (default: {' '.join(DEFAULTS)})"
    names = [name for name in MANNERS if name != TSAM]
    add("--variants", nargs="+", choices=names, default=DEFAULTS, metavar="NAME", help=help_variants)
    add("--arch", default="resnet50", help="backbone (default: %(default)s)")
    add_numbers(command, batch_size=4, segments=8, pixels=224, rounds=5, threads=2)
    add_output_argument(command, "step")
    return command.parse_args()


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
        ratios = [tsam[clock] / ours[clock] for tsam, ours in zip(baseline, taken, strict=True)]
        figure[f"{clock}_speedup"] = quartiles(ratios)
    return figure


def _print(figures: Sequence[dict[str, Any]], missing: dict[str, str]) -> None:
    numbers = ("clips_per_second", "wall_seconds", "cpu_seconds", "wall_speedup", "cpu_speedup", "page_faults")
    rows = [(f["variant"], *(f[name]["median"] for name in numbers), f["peak_mb"]) for f in figures]
    rows += [(name, *([None] * (len(numbers) + 1))) for name in missing]
    columns = ("variant", "clips/s", "wall s", "CPU s", "wall speedup", "CPU speedup", "page faults", "peak MB")
    print_table(columns, rows)
    for name, reason in missing.items():
        print(f"{name}: {reason}")


def _plot(figures: Sequence[dict[str, Any]], path: Path) -> None:
    wall = [Bar(f["variant"], **f["wall_seconds"], ours=f["variant"] != TSAM) for f in figures]
    cpu = [Bar(f["variant"], **f["cpu_seconds"], ours=f["variant"] != TSAM) for f in figures]
    panels = [Panel("Wall time", "seconds per step", wall), Panel("CPU time", "seconds per step", cpu)]
    plot_bars(path, panels, title="A step of training")


if __name__ == "__main__":
    main()
