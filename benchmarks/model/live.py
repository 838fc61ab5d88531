"""Predict after every frame of a stream: with cached activations, and by running the window again; one image beside.

On the CPU, with new weights and random frames; once with audio, whose spectrogram of the last ten seconds is computed
with every frame (`tsam_dali.inference.live` does so twice a second). One image: the same backbone without shift or
cache, as an image classifier would run it.

example:
  python -m benchmarks.model.live --segments 8 16
"""

import argparse
from collections.abc import Sequence
from functools import partial
from typing import Any

from benchmarks.harness.arguments import add_arch, benchmark_parser, values_of
from benchmarks.harness.measure import quartiles, ratios, running, take_turns
from benchmarks.harness.plots import plot_figures
from benchmarks.harness.processes import choose_cores
from benchmarks.harness.results import origin, print_figures, write_results
from benchmarks.model.live_variants import IMAGE, STREAM, WINDOW, WITH_AUDIO, Following, Size
from tsam_dali.cli.common import friendly_errors

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
    ways = [(IMAGE, 1), *((way, segments) for segments in args.segments for way in (STREAM, WITH_AUDIO, WINDOW))]
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
    numbers = [f"{clock}_{key}" for key in ("ms", "relative_to_image") for clock in ("wall", "cpu")]
    print_figures(figures, ("variant", *numbers))
    sizes = values_of(args, ("arch", "pixels", "segments", "frames", "rounds", "threads"))
    write_results(args.output, "live", METHOD | sizes, figures, start)
    panels = {"Wall time, ms per frame": "wall_ms", "CPU time, ms per frame": "cpu_ms"}
    title = "A prediction after every frame"
    plot_figures(
        args.output,
        figures,
        "variant",
        panels,
        ours=lambda name: name.startswith(STREAM),
        title=title,
    )


def _arguments() -> argparse.Namespace:
    numbers = {"pixels": 224, "frames": 4, "rounds": 7, "threads": 2}
    command = benchmark_parser("model.live", __doc__, segments=[8, 16], **numbers)
    add_arch(command, "resnet50")
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
        figure[f"{clock}_relative_to_image"] = ratios(ours, image)
    return figure


if __name__ == "__main__":
    main()
