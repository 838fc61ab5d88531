"""Shift one activation forward and backward: ours, TSAM's way, and a plain copy of the same tensor as the floor.

The activation is that of a stage of ResNet-50 for clips of 8 video segments and one of audio. A GPU is waited for
before and after each pass; `benchmarks.model.gpu` measures all stages there, with full batches.

example:
  python -m benchmarks.model.shift --rounds 7
"""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness.arguments import add_device, benchmark_parser, values_of
from benchmarks.harness.measure import Variant, quartiles, ratios, running, take_turns
from benchmarks.harness.plots import panel, plot_bars
from benchmarks.harness.processes import choose_cores
from benchmarks.harness.results import origin, print_figures, write_results
from benchmarks.model.shift_variants import (
    CASES,
    COMPILED,
    COPY,
    DEPTH,
    DIRECTIONS,
    F_DIV,
    OURS,
    SEGMENTS,
    TSAM,
    VIDEO_SEGMENTS,
    Case,
    Shifting,
)
from tsam_dali.cli.common import friendly_errors, positive

METHOD = {
    "shift": {"segments": SEGMENTS, "video_segments": VIDEO_SEGMENTS, "f_div": F_DIV, "depth": DEPTH, "edge": "keep"},
    "wall_ms": "median of a round's repeats; median and quartiles over the rounds",
    "cpu_ms": "the same, CPU time of all threads",
    "wall_relative_to_copy": "by the wall time of the plain copy in the same round",
    "cpu_relative_to_copy": "by the CPU time of the plain copy in the same round",
    "moved_megabytes": "10^6 bytes that copies, fills and sums read and write, as the profiler saw or our loop does",
    "new_megabytes": "10^6 bytes of all tensors that are made, as the profiler saw; a copy makes one",
    "plain copy": "one copy in each direction",
    "ours, compiled": "torch.compile of the shift alone, in one graph; compiled before the first round",
    "memory": "freed memory is kept in all processes, as in training: no page faults",
    "warm_up": "each case once before the first round; not counted",
    "order": "one process per variant, taking turns, pinned to the same cores; each round begins with another variant",
}


@friendly_errors
def main() -> None:
    args = _arguments()
    cores, start = choose_cores(args.threads), origin()
    makers = {
        way: partial(Shifting, way, args.shape, args.threads, args.device) for way in (COPY, OURS, COMPILED, TSAM)
    }
    times, megabytes = {}, {}
    with running(makers, cores) as variants:
        for case in CASES:
            for variant in variants:
                variant.call("time", case, 1)
                megabytes[case, variant.name] = variant.call("megabytes", case)
            times[case] = take_turns(variants, args.rounds, partial(_time, case, args.repeats))
    figures = [
        _figure(case, direction, way, times[case]) | megabytes[case, way][direction]
        for case in CASES
        for direction in DIRECTIONS
        for way in makers
    ]
    sizes = values_of(args, ("shape", "rounds", "repeats", "threads", "device"))
    numbers = [f"{clock}_{key}" for key in ("ms", "relative_to_copy") for clock in ("wall", "cpu")]
    print_figures(figures, ("dtype", "layout", "direction", "way", "moved_megabytes", "new_megabytes", *numbers))
    write_results(args.output, "shift", METHOD | sizes, figures, start)
    _plot(figures, args.output)


def _time(case: Case, repeats: int, variant: Variant) -> dict[str, tuple[float, float]]:
    return variant.call("time", case, repeats)


def _arguments() -> argparse.Namespace:
    command = benchmark_parser("model.shift", __doc__, rounds=7, threads=2)
    add_device(command)
    add = command.add_argument
    shape = [18, 256, 56, 56]
    help_shape = "of the activation (default: 18 256 56 56); N a multiple of 9"
    add("--shape", type=positive, nargs=4, default=shape, metavar=("N", "C", "H", "W"), help=help_shape)
    add("--repeats", type=positive, default=3, help="passes of each round (default: %(default)s)")
    args = command.parse_args()
    if args.shape[0] % SEGMENTS:
        command.error(f"expected {SEGMENTS} segments a clip: got --shape {args.shape}")
    return args


def _figure(case: Case, direction: str, way: str, times: dict[str, list[dict]]) -> dict[str, Any]:
    figure = {**case._asdict(), "direction": direction, "way": way}
    for i, clock in enumerate(("cpu", "wall")):
        ours, floor = ([turn[direction][i] for turn in times[who]] for who in (way, COPY))
        figure[f"{clock}_ms"] = quartiles(ours)
        figure[f"{clock}_relative_to_copy"] = ratios(ours, floor)
    return figure


def _plot(figures: Sequence[dict[str, Any]], path: Path) -> None:
    panels = []
    for case in CASES:
        for direction in DIRECTIONS:
            chosen = [f for f in figures if (f["dtype"], f["layout"], f["direction"]) == (*case, direction)]
            title = f"{case.dtype}, {case.layout.removesuffix('_format')}, {direction}, ms"
            panels.append(panel(title, chosen, "way", "wall_ms", lambda way: way in (OURS, COMPILED)))
    plot_bars(path, panels, title="Shifting an activation")


if __name__ == "__main__":
    main()
