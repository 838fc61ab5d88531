"""Decode the wanted frames of clips with every decoder that is installed, on one core and on several, and compare.

All decoders get the same files and frame numbers - the middle frames of validation, and a draw of training frames - and
give all of them as RGB, uint8. On several cores, a process for each core is measured beside several threads for a clip.
benchmarks/README.md describes the method.

example:
  python -m benchmarks.loading.decode --videos raw=my_data/videos copies=my_data/copies
"""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from benchmarks.baselines.decoders import DECODERS, OURS, Job
from benchmarks.baselines.pixels import compare
from benchmarks.harness.arguments import add_seed, benchmark_parser
from benchmarks.harness.clips import add_clip_arguments, clip_groups
from benchmarks.harness.measure import Variant, present_and_missing, quartiles, ratios, running, take_turns
from benchmarks.harness.plots import panel, plot_bars
from benchmarks.harness.processes import choose_cores
from benchmarks.harness.results import origin, print_figures, write_results
from benchmarks.loading import several_cores
from pipelines.decode.frames import probe
from pipelines.sampling import training_frames, validation_frames
from tsam_dali.cli.common import friendly_errors

METHOD = {
    "clips_per_second": "clips of the group by the wall seconds of a round; median and quartiles over the rounds",
    "cpu_ms_per_clip": "of all threads, median over the clips of a round; median and quartiles over the rounds",
    "cpu_relative_to_ours": "CPU time of this decoder by that of ours in the same round, all clips",
    "planning_cpu_ms_per_clip": "to read the packets of a file and choose among them; part of cpu_ms_per_clip",
    "warm_up": "each decoder decodes every clip once before the first round; not counted",
    "file_cache": "warm",
    "order": "one process per decoder, taking turns, pinned to one core; each round begins with another decoder",
    "pixels": "compared with ours; max_difference and mean_difference in levels of 0 to 255",
} | several_cores.METHOD
KIND = "one core"


class Case(NamedTuple):
    """What is decoded in one go: the same frames of all clips of a group."""

    clips: str  # label of the group
    segments: int
    rule: str  # "validation" or "training"


@friendly_errors
def main() -> None:
    args = _arguments()
    cases = _cases(clip_groups(args), args.segments, args.seed)
    start = origin()
    makers = {name: make for name, make in DECODERS.items() if name in {OURS, *args.decoders}}
    with running(makers, choose_cores(1)) as variants:
        present, missing = present_and_missing(variants)
        facts = {case: _compare(present, jobs) for case, jobs in tqdm(cases.items(), desc="warm-up", unit="case")}
        times = take_turns(present, args.rounds, lambda variant: _time(variant, cases))
        versions = {variant.name: variant.call("about") for variant in present}
    figures = [
        _figure(case, name, times, facts[case][name]) | {"libavcodec": versions[name]}
        for case in cases
        for name in times
    ]
    chosen = {case[:2]: jobs for case, jobs in cases.items() if case[1:] == (args.segments[0], "validation")}
    cores = choose_cores(args.cores)
    spread = several_cores.measure(versions, chosen, args.rounds, cores)
    method = METHOD | {"rounds": args.rounds, "seed": args.seed, "several_cores": len(cores), "missing": missing}
    _print(figures, missing)
    several_cores.print_speeds(spread)
    write_results(args.output, "decode", method, figures + spread, start)
    _plot(figures, spread, args.output)


def _arguments() -> argparse.Namespace:
    command = benchmark_parser("loading.decode", __doc__, segments=[8, 16], rounds=5, cores=2)
    add_clip_arguments(command)
    add_seed(command)
    names, help_names = list(DECODERS), "measure only these beside ours (default: all)"
    command.add_argument("--decoders", nargs="+", choices=names, default=names, metavar="NAME", help=help_names)
    return command.parse_args()


def _cases(groups: dict[str, list[Path]], segments: Sequence[int], seed: int) -> dict[Case, list[Job]]:
    """The jobs of each case, one per clip."""
    cases: dict[Case, list[Job]] = {}
    for label, paths in groups.items():
        lengths = [probe(path).frames for path in paths]
        for count in segments:
            middles = [validation_frames(length, count) for length in lengths]
            drawn = [training_frames(n, count, np.random.default_rng((seed, i))) for i, n in enumerate(lengths)]
            for rule, frames in (("validation", middles), ("training", drawn)):
                jobs = zip(paths, frames, strict=True)
                cases[Case(label, count, rule)] = [(str(path), tuple(wanted.tolist())) for path, wanted in jobs]
    return cases


def _compare(variants: Sequence[Variant], jobs: Sequence[Job]) -> dict[str, dict[str, Any]]:
    """The pixels of every decoder beside ours, and what is known of its work, by name. This is the warm-up, too."""
    pixels = compare({variant.name: partial(variant.call, "frames") for variant in variants}, jobs)  # ours comes first
    useful = float(np.mean([len(set(frames)) for _, frames in jobs]))
    return {
        variant.name: {
            **pixels[variant.name],
            "decoded_frames_per_clip": variant.call("decoded", jobs),
            "planning_cpu_ms_per_clip": variant.call("planning", jobs),
            "useful_frames_per_clip": useful,
        }
        for variant in variants
    }


def _time(variant: Variant, cases: dict[Case, list[Job]]) -> dict[Case, np.ndarray]:
    """One round: CPU and wall seconds of each clip, (clips, 2), for each case."""
    return {case: np.array(variant.call("time", jobs)) for case, jobs in cases.items()}


def _figure(case: Case, name: str, times: dict[str, list[dict[Case, np.ndarray]]], facts: dict[str, Any]) -> dict:
    rounds, ours = (np.stack([turn[case] for turn in times[who]]) for who in (name, OURS))  # (rounds, clips, 2)
    cpu, wall = rounds[..., 0], rounds[..., 1]
    return {
        "kind": KIND,
        **case._asdict(),
        "decoder": name,
        "num_clips": cpu.shape[1],
        "clips_per_second": quartiles(cpu.shape[1] / wall.sum(axis=1)),
        "cpu_ms_per_clip": quartiles(1000 * np.median(cpu, axis=1)),
        "cpu_relative_to_ours": ratios(cpu.sum(axis=1), ours[..., 0].sum(axis=1)),
        **facts,
    }


def _groups(figures: Sequence[dict]) -> dict[str, list[dict]]:
    """The figures of each case, by its name for a reader."""
    groups: dict[str, list[dict]] = {}
    for figure in figures:
        groups.setdefault(f"{figure['clips']}: {figure['segments']} {figure['rule']} frames", []).append(figure)
    return groups


def _print(figures: Sequence[dict], missing: dict[str, str]) -> None:
    rates = ("clips_per_second", "cpu_ms_per_clip", "cpu_relative_to_ours", "decoded_frames_per_clip")
    pixels = ("frames_equal_to_the_last_bit", "max_difference")
    print_figures(figures, ("clips", "segments", "rule", "decoder", *rates, *pixels))
    for name, reason in missing.items():
        print(f"{name}: {reason}")
    for case, group in _groups(figures).items():
        if peers := [figure for figure in group if figure["decoder"] != OURS]:
            ratio, best = min((figure["cpu_relative_to_ours"]["median"], figure["decoder"]) for figure in peers)
            print(f"{case}: ours takes 1 / {ratio:.2f} of the CPU time of {best}")
    planning = max(figure["planning_cpu_ms_per_clip"] or 0 for figure in figures)
    print(f"ours, to read the packets of a clip and choose among them: at most {planning} ms")


def _plot(figures: Sequence[dict], spread: Sequence[dict], path: Path) -> None:
    panels = [
        panel(f"{case}, CPU ms", group, "decoder", "cpu_ms_per_clip", lambda name: name == OURS)
        for case, group in _groups(figures).items()
    ]
    title = "CPU time to decode the wanted frames of a clip, one core; clips per second, several cores"
    plot_bars(path, panels + several_cores.panels(spread), title=title, columns=4)


if __name__ == "__main__":
    main()
