"""From videos to training: every way to feed the same network, in one table.

TSAM's way (JPEG frames and .wav files in a torch DataLoader), the same frames through DALI, videos as they are through
torchcodec, decord and this project's decoder, and training copies. Each is measured as a loader alone and with a
network that is trained on its batches by this project's trainer, on the same cores. What each has to prepare
beforehand, and what it keeps on the disk, stands beside it. benchmarks/README.md describes the method.

On a GPU (--device cuda) the ways that decode with NVDEC and nvJPEG are measured, too, with the use of these engines.

example:
  python -m benchmarks.training.end_to_end --data my_data/videos --segments 8 16
"""

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.harness.arguments import add_numbers
from benchmarks.harness.clips import add_clip_arguments, clip_groups
from benchmarks.harness.gpu_use import gpu_use
from benchmarks.harness.material import Material, check_videos, loader_settings, make_material, prefetched
from benchmarks.harness.measure import Variant, quartiles, running, take_turns
from benchmarks.harness.plots import Bar, Panel, plot_bars
from benchmarks.harness.processes import choose_cores, wait_until_idle
from benchmarks.harness.results import add_output_argument, origin, print_table, write_results
from benchmarks.training.end_to_end_variants import (
    NETWORK,
    TSAM,
    WAYS,
    decoded_frames,
    kilobytes_read,
    make_reader,
    total,
)
from benchmarks.training.trainer import Network, Training
from tsam_dali.cli.common import friendly_errors, parser, positive

NETWORKS = {"cpu": ("resnet10t", 7), "cuda": ("resnet50", 1)}
"""Backbone, and by how much its pictures are made smaller. Two cores of a CPU train ResNet-50 so slowly that no way to
load would ever make it wait; the small one, on half of the cores, asks for tens of clips a second of the same pictures
of 224 x 224, as a GPU does of the few cores that it has for itself."""
METHOD = {
    "loader": "the loader alone; clips by wall seconds, CPU time of all its processes",
    "training": "loader and network on the same cores; the trainer's own loop and settings",
    "data_wait": "share of the wall time in which that loop waited for a batch",
    "rate_relative_to_tsam": f"by that of '{TSAM}' in the same round",
    "preparation": "of all ids, on the same number of processes; without the time that the programs take to start",
    "decoded": "frames of a clip that are decoded, beside those that are wanted; null: the library does not tell",
    "warm_up": "one uncounted round; in each round the first batches, two a process and one, are not counted",
    "file_cache": "warm",
    "order": "one process per way, taking turns on the same cores; the next one begins when the last one is idle",
    "quartiles": "median and quartiles over the rounds",
}
NUMBERS = {
    "loader_clips_per_second": ("read", "clips_per_second"),
    "loader_cpu_ms_per_clip": ("read", "cpu_ms_per_clip"),
    "training_clips_per_second": ("train", "clips_per_second"),
    "training_cpu_ms_per_clip": ("train", "cpu_ms_per_clip"),
    "data_wait": ("train", "data_wait"),
}


@friendly_errors
def main() -> None:
    args = _arguments()
    videos = [path for paths in clip_groups(args).values() for path in paths]
    check_videos(videos, args.repeats, args.batch_size)
    cores, start = choose_cores(args.cores), origin()
    with tempfile.TemporaryDirectory(prefix="end_to_end_benchmark_") as folder:
        material = make_material(Path(folder), videos, args.repeats, args.cores)
        figures = [figure for segments in args.segments for figure in measure(material, segments, cores, args)]
    names = ("rounds", "batches", "batch_size", "cores", "repeats", "arch", "pool", "device")
    method = METHOD | {name: getattr(args, name) for name in names} | {"num_videos": len(videos)}
    _print(figures)
    write_results(args.output, "end_to_end", method, [*figures, *material.prepared.values()], start)
    _plot(figures, args)


def _arguments() -> argparse.Namespace:
    command = parser("python -m benchmarks.training.end_to_end", __doc__)
    add_clip_arguments(command)
    add_numbers(command, segments=[8, 16], batch_size=8, batches=8, rounds=5, cores=2, repeats=8)
    add = command.add_argument
    kind = "cuda" if torch.cuda.is_available() else "cpu"
    add("--device", choices=list(NETWORKS), default=kind, help="cpu or cuda (default: cuda if there is one)")
    arches = ", ".join(f"{arch} on a {device} device" for device, (arch, _) in NETWORKS.items())
    add("--arch", help=f"backbone, a timm name (default: {arches})")
    pools = " and ".join(f"{pool} ({device})" for device, (_, pool) in NETWORKS.items())
    help_pool = f"pictures of 224 x 224 are averaged over N x N pixels before they enter the network (default: {pools})"
    add("--pool", type=positive, metavar="N", help=help_pool)
    add("--ways", nargs="+", choices=list(WAYS), metavar="WAY", default=list(WAYS), help="only these (default: all)")
    add_output_argument(command, "end_to_end")
    args = command.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        command.error("--device cuda: there is no GPU here")
    arch, pool = NETWORKS[args.device]
    args.arch, args.pool = args.arch or arch, args.pool or pool
    args.ways = list(dict.fromkeys([TSAM, *args.ways]))
    return args


def measure(material: Material, segments: int, cores: Sequence[int], args: argparse.Namespace) -> list[dict[str, Any]]:
    """A figure of each way, for so many frames."""
    settings = [*loader_settings(segments, args.batch_size, args.cores), f"model.arch={args.arch}"]
    network = Network(args.arch, args.pool, args.device, threads=max(1, args.cores // 2))
    missing = {name: "needs a GPU" for name in args.ways if WAYS[name].needs_gpu and args.device == "cpu"}
    makers = {
        name: partial(Training, make_reader(name, material, settings, args.device), network)
        for name in args.ways
        if name not in missing
    }
    with running(makers, cores) as variants:
        missing |= {variant.name: variant.missing for variant in variants if variant.missing is not None}
        present = [variant for variant in variants if variant.missing is None]
        for variant in present:
            _turn(variant, 1, args)
        turns = take_turns(present, args.rounds, lambda variant: _turn(variant, args.batches, args))
    figures = []
    for name in args.ways:
        figure = {"kind": "way", "segments": segments, "way": name, "missing": missing.get(name)}
        if name in turns:
            figure |= _figure(turns[name], turns[TSAM])
            if name != NETWORK:
                useful, decoded = decoded_frames(name, material, settings)
                figure |= {"useful_frames_per_clip": useful, "decoded_frames_per_clip": decoded}
                made, kept = (total(name, what, material.prepared) for what in ("made", "kept"))
                figure["preparation_seconds_per_clip"] = made["seconds_per_clip"]
                figure["preparation_cpu_seconds_per_clip"] = made["cpu_seconds_per_clip"]
                figure |= {key: kept[key] for key in ("kilobytes_per_clip", "files_per_clip")}
                figure["kilobytes_read_per_clip"] = kilobytes_read(name, material.prepared, segments)
        figures.append(figure)
    return figures


def _turn(variant: Variant, count: int, args: argparse.Namespace) -> dict[str, dict[str, float]]:
    found = {}
    for part in ("read", "train"):
        with gpu_use(args.device) as use:
            found[part] = variant.call(part, prefetched(args.cores), count)
        found[part] |= use
        wait_until_idle(variant.pid)  # it fetches ahead; the next one shall not feel that
    return found


def _figure(turns: Sequence[Mapping], baseline: Sequence[Mapping]) -> dict[str, Any]:
    figure = {name: quartiles([turn[part][key] for turn in turns]) for name, (part, key) in NUMBERS.items()}
    for part, name in (("read", "loader"), ("train", "training")):
        rates, others = ([turn[part]["clips_per_second"] for turn in of] for of in (turns, baseline))
        figure[f"{name}_rate_relative_to_tsam"] = quartiles([a / b for a, b in zip(rates, others, strict=True)])
        uses = [key for key in turns[0][part] if key.endswith("_use")]  # of the GPU, percent
        figure |= {f"{name}_{use}": quartiles([turn[part][use] for turn in turns]) for use in uses}
    return figure


def _print(figures: Sequence[Mapping[str, Any]]) -> None:
    columns = {
        "prepare, CPU s": "preparation_cpu_seconds_per_clip",
        "disk, kB": "kilobytes_per_clip",
        "files": "files_per_clip",
        "decoded": "decoded_frames_per_clip",
        "loader, clips/s": "loader_clips_per_second",
        "CPU ms": "loader_cpu_ms_per_clip",
        "training, clips/s": "training_clips_per_second",
        "TSAM = 1": "training_rate_relative_to_tsam",
        "data wait": "data_wait",
    }
    rows = []
    for figure in figures:
        numbers = [figure.get(key) for key in columns.values()]
        numbers = [number["median"] if isinstance(number, dict) else number for number in numbers]
        rows.append((figure["segments"], figure["way"], *numbers, figure["missing"] or ""))
    print("per clip; medians of the rounds")
    print_table(("frames", "way", *columns, "note"), rows)


def _plot(figures: Sequence[Mapping[str, Any]], args: argparse.Namespace) -> None:
    panels = []
    for segments in args.segments:
        ways = [f for f in figures if f["segments"] == segments and not f["missing"]]
        loaders = [f for f in ways if f["way"] != NETWORK]
        for title, unit, key, chosen in (
            ("loader alone: more is better", "clips per second", "loader_clips_per_second", loaders),
            ("loader alone: less is better", "CPU ms per clip", "loader_cpu_ms_per_clip", loaders),
            ("training: more is better", "clips per second", "training_clips_per_second", ways),
        ):
            bars = [Bar(f["way"], **f[key], ours="ours" in f["way"]) for f in chosen]
            panels.append(Panel(f"{segments} frames, {title}", unit, bars))
    for title, key in (
        ("Preparation, CPU seconds per clip", "preparation_cpu_seconds_per_clip"),
        ("On the disk, kB per clip", "kilobytes_per_clip"),
        ("Files per clip", "files_per_clip"),
    ):
        bars = [Bar(f["way"], f[key], f[key], f[key], ours="ours" in f["way"]) for f in loaders]
        panels.append(Panel(title, "less is better", bars))
    title = f"From videos to training, {args.cores} cores: {args.arch}, pictures {args.pool} times smaller"
    plot_bars(args.output.with_suffix(".png"), panels, title=title, columns=3)


if __name__ == "__main__":
    main()
