"""Decode the wanted frames of clips with every decoder that is installed, on one core, and compare.

All decoders get the same files and frame numbers - the middle frames of validation, and a draw of training frames - and
give all of them as RGB, uint8. benchmarks/README.md describes the method.

example:
  python -m benchmarks.loading.decode --videos raw=my_data/videos copies=my_data/copies
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from benchmarks.baselines.decoders import DECODERS, OURS, Job
from benchmarks.harness.arguments import add_seed, benchmark_parser
from benchmarks.harness.clips import add_clip_arguments, clip_groups
from benchmarks.harness.measure import Variant, present_and_missing, quartiles, ratios, running, take_turns
from benchmarks.harness.plots import panel, plot_bars
from benchmarks.harness.processes import choose_cores
from benchmarks.harness.results import origin, print_figures, write_results
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
}


class Case(NamedTuple):
    """What is decoded in one go: the same frames of all clips of a group."""

    clips: str  # label of the group
    segments: int
    rule: str  # "validation" or "training"


@friendly_errors
def main() -> None:
    args = _arguments()
    cases = _cases(clip_groups(args), args.segments, args.seed)
    cores, start = choose_cores(1), origin()
    makers = {name: make for name, make in DECODERS.items() if name in {OURS, *args.decoders}}
    with running(makers, cores) as variants:
        present, missing = present_and_missing(variants)
        facts = {case: _compare(present, jobs) for case, jobs in tqdm(cases.items(), desc="warm-up", unit="case")}
        times = take_turns(present, args.rounds, lambda variant: _time(variant, cases))
        versions = {variant.name: variant.call("about") for variant in present}
    figures = [
        _figure(case, name, times, facts[case][name]) | {"libavcodec": versions[name]}
        for case in cases
        for name in times
    ]
    method = METHOD | {"rounds": args.rounds, "seed": args.seed, "cores": len(cores), "missing": missing}
    _print(figures, missing)
    write_results(args.output, "decode", method, figures, start)
    _plot(figures, args.output)


def _arguments() -> argparse.Namespace:
    command = benchmark_parser("loading.decode", __doc__, segments=[8, 16], rounds=5)
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
    found: dict[str, list[tuple[float, float]]] = {variant.name: [] for variant in variants}
    for job in jobs:
        reference = None
        for variant in variants:  # ours comes first
            decoded = variant.call("frames", job)
            reference = decoded if reference is None else reference
            found[variant.name].append(difference(decoded, reference))
    facts = {}
    for variant in variants:
        largest, mean = zip(*found[variant.name], strict=True)
        facts[variant.name] = {
            "frames_equal_to_the_last_bit": f"{sum(x == 0 for x in largest)} of {len(jobs)} clips",
            "max_difference": max(largest),
            "mean_difference": round(float(np.mean(mean)), 3),
            "decoded_frames_per_clip": variant.call("decoded", jobs),
            "planning_cpu_ms_per_clip": variant.call("planning", jobs),
            "useful_frames_per_clip": float(np.mean([len(set(frames)) for _, frames in jobs])),
        }
    return facts


def difference(decoded: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    """Largest and mean difference in levels; of frames of another size it is that of black and white."""
    if decoded.shape != reference.shape:
        return 255.0, 255.0
    distance = np.maximum(decoded, reference) - np.minimum(decoded, reference)  # stays uint8
    return float(distance.max()), float(distance.mean())


def _time(variant: Variant, cases: dict[Case, list[Job]]) -> dict[Case, np.ndarray]:
    """One round: CPU and wall seconds of each clip, (clips, 2), for each case."""
    return {case: np.array(variant.call("time", jobs)) for case, jobs in cases.items()}


def _figure(case: Case, name: str, times: dict[str, list[dict[Case, np.ndarray]]], facts: dict[str, Any]) -> dict:
    rounds, ours = (np.stack([turn[case] for turn in times[who]]) for who in (name, OURS))  # (rounds, clips, 2)
    cpu, wall = rounds[..., 0], rounds[..., 1]
    return {
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


def _plot(figures: Sequence[dict], path: Path) -> None:
    panels = [
        panel(f"{case}, CPU ms", group, "decoder", "cpu_ms_per_clip", lambda name: name == OURS)
        for case, group in _groups(figures).items()
    ]
    plot_bars(path, panels, title="CPU time to decode the wanted frames of a clip, one core")


if __name__ == "__main__":
    main()
