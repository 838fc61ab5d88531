"""Measure the whole loader on two cores, files to batches of clips with audio, beside TSAM's way.

Ours reads the videos as they are (also with several samples of each, as training_param.repeats has it; rates count
samples), training copies of them, and JPEG frames. TSAM's way reads JPEG frames and .wav files and makes its log-mel
pictures on the fly (benchmarks/baselines/tsam_reader.py). What has to be prepared before either can start has rows of
its own. benchmarks/README.md describes the method.

example:
  python -m benchmarks.loading.loader --videos my_data/videos
"""

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness.arguments import add_numbers
from benchmarks.harness.clips import add_clip_arguments, clip_groups
from benchmarks.harness.material import (
    CONFIG,
    OF_COPIES,
    Material,
    check_videos,
    loader_settings,
    make_material,
    prefetched,
)
from benchmarks.harness.measure import Make, Variant, quartiles, running, take_turns
from benchmarks.harness.plots import Bar, Panel, plot_bars
from benchmarks.harness.processes import choose_cores, wait_until_idle
from benchmarks.harness.results import add_output_argument, origin, print_table, write_results
from benchmarks.loading.readers import ours, tsam
from tsam_dali.cli.common import friendly_errors, parser

BASELINE = "TSAM's way"
REPEATS = (2, 4)  # samples of each video that share its decode
METHOD = {
    "clips_per_second": "wall time, steady state; median and quartiles over the rounds",
    "cpu_ms_per_clip": "CPU time of all processes of the loader",
    "rate_relative_to_baseline": f"clips_per_second by that of {BASELINE} in the same round",
    "warm_up": "one uncounted round; in each round the first batches, which had been fetched ahead, are not counted",
    "file_cache": "warm",
    "order": "one process per loader, taking turns on the same cores; the next one begins when the last one is idle",
    "preparation": "of all ids, on the same number of processes; without the time that the program takes to start",
}


@friendly_errors
def main() -> None:
    args = _arguments()
    videos = [path for paths in clip_groups(args).values() for path in paths]
    check_videos(videos, args.repeats, args.batch_size)
    cores, start = choose_cores(args.cores), origin()
    with tempfile.TemporaryDirectory(prefix="loader_benchmark_") as folder:
        material = make_material(Path(folder), videos, args.repeats, args.cores)
        settings = loader_settings(args.segments, args.batch_size, args.cores)
        skip = prefetched(args.cores)
        with running(_loaders(material, settings, args.batch_size), cores) as variants:
            present = [variant for variant in variants if variant.missing is None]
            for variant in present:
                _read(variant, skip, 2)
            turns = take_turns(present, args.rounds, lambda variant: _read(variant, skip, args.batches))
            left_out = {variant.name: variant.missing for variant in variants if variant.missing is not None}
    figures = [*(_figure(name, turns) for name in turns), *material.prepared.values()]
    names = ("rounds", "batches", "batch_size", "segments", "cores", "repeats")
    method = METHOD | {name: getattr(args, name) for name in names} | {"missing": left_out}
    _print(figures, left_out)
    write_results(args.output, "loader", method, figures, start)
    _plot(figures, args.output.with_suffix(".png"), args)


def _arguments() -> argparse.Namespace:
    command = parser("python -m benchmarks.loading.loader", __doc__)
    add_clip_arguments(command)
    add_numbers(command, segments=8, batch_size=8, batches=12, rounds=5, cores=2, repeats=8)
    add_output_argument(command, "loader")
    return command.parse_args()


def _loaders(material: Material, settings: Sequence[str], batch_size: int) -> dict[str, Make]:
    raw, frames, settings = material.raw, material.frames, list(settings)
    repeated = {
        f"ours, videos as they are, {n} samples of each": [*settings, f"training_param.repeats={n}"]
        for n in REPEATS
        if batch_size % n == 0
    }
    return {
        "ours, videos as they are": partial(ours, raw, CONFIG, settings),
        **{name: partial(ours, raw, CONFIG, options) for name, options in repeated.items()},
        "ours, training copies": partial(ours, raw, CONFIG, [*settings, *OF_COPIES]),
        "ours, JPEG frames": partial(ours, frames, CONFIG, [*settings, "pipeline.source=frames"]),
        BASELINE: partial(tsam, frames, CONFIG, settings),
        f"{BASELINE}, mel filters kept": partial(tsam, frames, CONFIG, settings, keep_filters=True),
    }


def _read(variant: Variant, skip: int, count: int) -> dict[str, float]:
    found = variant.call("read", skip, count)
    wait_until_idle(variant.pid)  # it fetches ahead; the next loader shall not feel that
    return found


def _figure(name: str, turns: Mapping[str, Sequence[Mapping[str, float]]]) -> dict[str, Any]:
    rates, baseline = ([turn["clips_per_second"] for turn in turns[who]] for who in (name, BASELINE))
    return {
        "kind": "loader",
        "loader": name,
        "clips_per_second": quartiles(rates),
        "cpu_ms_per_clip": quartiles([turn["cpu_ms_per_clip"] for turn in turns[name]]),
        "rate_relative_to_baseline": quartiles([a / b for a, b in zip(rates, baseline, strict=True)]),
    }


def _print(figures: Sequence[Mapping[str, Any]], left_out: Mapping[str, str]) -> None:
    keys = ("clips_per_second", "cpu_ms_per_clip", "rate_relative_to_baseline")
    print_table(
        ("loader", "clips/s", "q1", "q3", "CPU ms per clip", f"rate, {BASELINE} = 1"),
        [
            (f["loader"], *f[keys[0]].values(), *(f[key]["median"] for key in keys[1:]))
            for f in figures
            if f["kind"] == "loader"
        ],
    )
    for name, reason in left_out.items():
        print(f"{name}: {reason}")
    print()
    keys = ("what", "seconds_per_clip", "cpu_seconds_per_clip", "kilobytes_per_clip", "files_per_clip")
    print_table(
        ("preparation", "s per clip", "CPU s per clip", "kB per clip", "files per clip"),
        [[f.get(key) for key in keys] for f in figures if f["kind"] == "preparation"],
    )


def _plot(figures: Sequence[Mapping[str, Any]], path: Path, args: argparse.Namespace) -> None:
    loaders = [f for f in figures if f["kind"] == "loader"]
    panels = [
        Panel(title, unit, [Bar(f["loader"], **f[key], ours=not f["loader"].startswith(BASELINE)) for f in loaders])
        for title, unit, key in (
            ("Rate: more is better", f"clips per second on {args.cores} cores", "clips_per_second"),
            ("Cost: less is better", "CPU ms per clip, all processes", "cpu_ms_per_clip"),
        )
    ]
    plot_bars(path, panels, title=f"From files to batches: {args.segments} frames and the audio of each clip")


if __name__ == "__main__":
    main()
