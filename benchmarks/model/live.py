"""Predict after every frame of a stream: with cached activations, and by running the window again; one image beside.

On the CPU, with new weights and random pictures; once with audio, of which ten seconds are heard anew with every frame
(`tsam_dali.inference.live` does so twice a second). One image: the same backbone without shift or cache, as a
classifier of single pictures would run it.

example:
  python -m benchmarks.model.live --segments 8 16
"""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness.measure import quartiles, running, take_turns
from benchmarks.harness.plots import Bar, Panel, plot_bars
from benchmarks.harness.processes import choose_cores
from benchmarks.harness.results import add_output_argument, origin, print_table, write_results
from benchmarks.model.live_variants import HEARING, IMAGE, STREAM, WINDOW, Following, Size
from tsam_dali.cli.common import friendly_errors, parser, positive

METHOD = {
    "wall_ms": "of a frame, the mean of a round's frames; median and quartiles over the rounds",
    "cpu_ms": "the same, CPU time of all threads",
    "wall_relative_to_image": "by the wall time of one image in the same round",
    "cpu_relative_to_image": "by the CPU time of one image in the same round",
    "shift": "that of config/kinetics400_config.json, causal",
    "memory": "freed memory is kept in all processes: no page faults",
    "warm_up": "S frames of each variant before the first round, so that all caches are full; not counted",
    "order": "one process per variant, taking turns, pinned to the same cores; each round begins with another variant",
}
CLOCKS = ("cpu", "wall")


@friendly_errors
def main() -> None:
    args = _arguments()
    cores, start = choose_cores(args.threads), origin()
    ways = [(IMAGE, 1), *((way, segments) for segments in args.segments for way in (STREAM, HEARING, WINDOW))]
    names = {_name(*way): way for way in ways}
    makers = {
        name: partial(Following, way, Size(args.arch, segments, args.pixels, args.threads))
        for name, (way, segments) in names.items()
    }
    with running(makers, cores) as variants:
        take_turns(variants, 1, lambda variant: variant.call("frames", names[variant.name][1]), show=False)
        rounds = take_turns(variants, args.rounds, lambda variant: variant.call("frames", args.frames))
    means = {name: [_mean(frames) for frames in found] for name, found in rounds.items()}
    figures = [_figure(name, *names[name], means) for name in names]
    _print(figures)
    sizes = {name: getattr(args, name) for name in ("arch", "pixels", "segments", "frames", "rounds", "threads")}
    write_results(args.output, "live", METHOD | sizes, figures, start)
    _plot(figures, args.output.with_suffix(".png"))


def _arguments() -> argparse.Namespace:
    command = parser("python -m benchmarks.model.live", __doc__)
    add = command.add_argument
    add("--arch", default="resnet50", help="backbone (default: %(default)s)")
    help_segments = "frames that a prediction looks at (default: 8 16)"
    add("--segments", type=positive, nargs="+", default=[8, 16], metavar="S", help=help_segments)
    add("--pixels", type=positive, default=224, help="width and height (default: %(default)s)")
    add("--frames", type=positive, default=4, help="frames of each round (default: %(default)s)")
    add("--rounds", type=positive, default=7, help="rounds to measure (default: %(default)s)")
    add("--threads", type=positive, default=2, help="of each variant (default: %(default)s)")
    add_output_argument(command, "live")
    return command.parse_args()


def _name(way: str, segments: int) -> str:
    return IMAGE if way == IMAGE else f"{way}, {segments} frames"


def _mean(frames: Sequence[tuple[float, float]]) -> dict[str, float]:
    return {clock: sum(frame[i] for frame in frames) / len(frames) for i, clock in enumerate(CLOCKS)}


def _figure(name: str, way: str, segments: int, means: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    figure: dict[str, Any] = {"variant": name, "way": way, "segments": segments}
    for clock in CLOCKS:
        ours, image = ([mean[clock] for mean in means[who]] for who in (name, IMAGE))
        figure[f"{clock}_ms"] = quartiles(ours)
        figure[f"{clock}_relative_to_image"] = quartiles([a / b for a, b in zip(ours, image, strict=True)])
    return figure


def _print(figures: Sequence[dict[str, Any]]) -> None:
    numbers = ("wall_ms", "cpu_ms", "wall_relative_to_image", "cpu_relative_to_image")
    rows = [(figure["variant"], *(figure[name]["median"] for name in numbers)) for figure in figures]
    print_table(("variant", "wall ms", "CPU ms", "wall, image = 1", "CPU, image = 1"), rows)


def _plot(figures: Sequence[dict[str, Any]], path: Path) -> None:
    panels = [
        Panel(title, "ms per frame", [Bar(f["variant"], **f[key], ours=f["way"] in (STREAM, HEARING)) for f in figures])
        for title, key in (("Wall time", "wall_ms"), ("CPU time", "cpu_ms"))
    ]
    plot_bars(path, panels, title="A prediction after every frame")


if __name__ == "__main__":
    main()
