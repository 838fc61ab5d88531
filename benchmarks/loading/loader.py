"""Measure the whole loader on two cores, files to batches of clips with audio, beside TSAM's way.

Ours reads the videos as they are (also with several samples of each, as training_param.repeats has it; rates count
samples), training copies of them, and JPEG frames. TSAM's way reads JPEG frames and .wav files and computes its
spectrograms on the fly (benchmarks/baselines/tsam_reader.py). The upper bound for videos as they are is what libavcodec
alone takes for their packets (benchmarks/loading/decoding_alone.py). What has to be prepared before either can start
has rows of its own. benchmarks/README.md describes the method.

example:
  python -m benchmarks.loading.loader --videos my_data/videos
"""

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness.arguments import benchmark_parser, values_of
from benchmarks.harness.clips import add_clip_arguments, all_clips
from benchmarks.harness.material import (
    CONFIG,
    OF_COPIES,
    Material,
    check_videos,
    loader_settings,
    make_material,
    prefetched,
)
from benchmarks.harness.measure import Make, present_and_missing, quartiles, ratios, running, take_turns
from benchmarks.harness.plots import plot_figures
from benchmarks.harness.processes import choose_cores
from benchmarks.harness.results import origin, print_figures, write_results
from benchmarks.loading.decoding_alone import DecodingAlone
from benchmarks.loading.readers import ours, read, tsam
from tsam_dali.cli.common import friendly_errors

BASELINE = "TSAM's way"
VIDEOS, BOUND = "ours, videos as they are", "libavcodec alone, the packets of these videos"
REPEATS = (2, 4)  # samples of each video that share its decode
METHOD = {
    "clips_per_second": "wall time, steady state; median and quartiles over the rounds",
    "cpu_ms_per_clip": "CPU time of all processes of the loader",
    "rate_relative_to_bound": f"of '{VIDEOS}': cpu_ms_per_clip of '{BOUND}' by its own in the same round",
    "rate_relative_to_baseline": f"clips_per_second by that of {BASELINE} in the same round",
    "warm_up": "one uncounted round; in each round the first batches, which had been fetched ahead, are not counted",
    "file_cache": "warm",
    "order": "one process per loader, taking turns on the same cores; the next one begins when the last one is idle",
    "preparation": "of all ids, on the same number of processes; without the time that the program takes to start",
}


@friendly_errors
def main() -> None:
    args = _arguments()
    videos = all_clips(args)
    check_videos(videos, args.repeats, args.batch_size)
    cores, start = choose_cores(args.cores), origin()
    with tempfile.TemporaryDirectory(prefix="loader_benchmark_") as folder:
        material = make_material(Path(folder), videos, args.repeats, args.cores)
        settings = loader_settings(args.segments, args.batch_size, args.cores)
        skip = prefetched(args.cores)
        with running(_loaders(material, settings, args.batch_size), cores) as variants:
            present, left_out = present_and_missing(variants)
            for variant in present:
                read(variant, skip, 2)
            turns = take_turns(present, args.rounds, lambda variant: read(variant, skip, args.batches))
    figures = [*(_figure(name, turns) for name in turns), *material.prepared.values()]
    names = ("rounds", "batches", "batch_size", "segments", "cores", "repeats")
    method = METHOD | values_of(args, names) | {"missing": left_out}
    loaders = [figure for figure in figures if figure["kind"] == "loader"]
    columns = ("clips_per_second", "cpu_ms_per_clip", "rate_relative_to_baseline", "rate_relative_to_bound")
    print_figures(loaders, ("loader", *columns))
    for name, reason in left_out.items():
        print(f"{name}: {reason}")
    costs = ("seconds_per_clip", "cpu_seconds_per_clip", "kilobytes_per_clip", "files_per_clip")
    print_figures(list(material.prepared.values()), ("what", *costs))
    write_results(args.output, "loader", method, figures, start)
    panels = {
        f"Clips per second on {args.cores} cores: more is better": "clips_per_second",
        "CPU ms per clip, all processes: less is better": "cpu_ms_per_clip",
    }
    title = f"From files to batches: {args.segments} frames and the audio of each clip"
    plot_figures(
        args.output,
        loaders,
        "loader",
        panels,
        ours=lambda name: name.startswith("ours"),
        title=title,
    )


def _arguments() -> argparse.Namespace:
    numbers = {"segments": 8, "batch_size": 8, "batches": 12, "rounds": 5, "cores": 2, "repeats": 8}
    command = benchmark_parser("loading.loader", __doc__, **numbers)
    add_clip_arguments(command)
    return command.parse_args()


def _loaders(material: Material, settings: Sequence[str], batch_size: int) -> dict[str, Make]:
    raw, frames, settings = material.raw, material.frames, list(settings)
    repeated = {
        f"ours, videos as they are, {n} samples of each": [*settings, f"training_param.repeats={n}"]
        for n in REPEATS
        if batch_size % n == 0
    }
    return {
        VIDEOS: partial(ours, raw, CONFIG, settings),
        **{name: partial(ours, raw, CONFIG, options) for name, options in repeated.items()},
        "ours, training copies": partial(ours, raw, CONFIG, [*settings, *OF_COPIES]),
        "ours, JPEG frames": partial(ours, frames, CONFIG, [*settings, "pipeline.source=frames"]),
        BASELINE: partial(tsam, frames, CONFIG, settings),
        f"{BASELINE}, mel filters kept": partial(tsam, frames, CONFIG, settings, keep_filters=True),
        BOUND: partial(DecodingAlone, raw, CONFIG, settings),
    }


def _figure(name: str, turns: Mapping[str, Sequence[Mapping[str, float]]]) -> dict[str, Any]:
    rates, baseline = ([turn["clips_per_second"] for turn in turns[who]] for who in (name, BASELINE))
    costs = {who: [turn["cpu_ms_per_clip"] for turn in turns[who]] for who in (name, BOUND)}
    return {
        "kind": "loader",
        "loader": name,
        "clips_per_second": quartiles(rates),
        "cpu_ms_per_clip": quartiles(costs[name]),
        "rate_relative_to_baseline": ratios(rates, baseline),
        **({"rate_relative_to_bound": ratios(costs[BOUND], costs[name])} if name == VIDEOS else {}),
    }


if __name__ == "__main__":
    main()
