"""From videos to training: every way to feed the same network, in one table.

TSAM's way (JPEG frames and .wav files in a torch DataLoader), the same frames through DALI, videos as they are through
torchcodec, decord2 and this project's decoder, and training copies. Each is measured as a loader alone and with a
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

from benchmarks.harness.arguments import benchmark_parser, values_of
from benchmarks.harness.clips import add_clip_arguments, all_clips
from benchmarks.harness.gpu_use import gpu_use
from benchmarks.harness.material import Material, check_videos, loader_settings, make_material, prefetched
from benchmarks.harness.measure import Variant, present_and_missing, quartiles, ratios, running, take_turns
from benchmarks.harness.plots import panel, plot_bars
from benchmarks.harness.processes import choose_cores, wait_until_idle
from benchmarks.harness.results import origin, print_figures, write_results
from benchmarks.training.end_to_end_variants import (
    COPIES_OURS,
    JPEG_OURS,
    NETWORK,
    TSAM,
    WAYS,
    compared,
    decoded_frames,
    kilobytes_read,
    make_reader,
    total,
)
from benchmarks.training.trainer import Network, Training
from tsam_dali.cli.common import friendly_errors, positive

NETWORKS = {"cpu": ("resnet10t", 7), "cuda": ("resnet50", 1)}
"""Backbone, and by how much its frames are made smaller. Two cores of a CPU train ResNet-50 so slowly that no way to
load would ever make it wait; the small one, on half of the cores, asks for tens of clips a second of the same frames
of 224 x 224, as a GPU does of the few cores that it has for itself."""
METHOD = {
    "loader": "the loader alone; clips by wall seconds, CPU time of all its processes",
    "training": "loader and network on the same cores; the trainer's own loop and settings",
    "data_wait": "share of the wall time in which that loop waited for a batch",
    "rate_relative_to_tsam": f"by that of '{TSAM}' in the same round",
    "comparison": "CPU time from the preparation to 1, 10 and 100 epochs; the least and the largest number of epochs "
    "(1 to 100) for which a way costs at most what the other one does",
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
    videos = all_clips(args)
    check_videos(videos, args.repeats, args.batch_size)
    cores, start = choose_cores(args.cores), origin()
    with tempfile.TemporaryDirectory(prefix="end_to_end_benchmark_") as folder:
        material = make_material(Path(folder), videos, args.repeats, args.cores)
        figures = [figure for segments in args.segments for figure in measure(material, segments, cores, args)]
    names = ("rounds", "batches", "batch_size", "cores", "repeats", "arch", "pool", "device")
    method = METHOD | values_of(args, names) | {"num_videos": len(videos)}
    costs = ("preparation_cpu_seconds_per_clip", "kilobytes_per_clip", "files_per_clip", "decoded_frames_per_clip")
    ways = [figure for figure in figures if figure["kind"] == "way"]
    print_figures(ways, ("segments", "way", *costs, *NUMBERS, "training_rate_relative_to_tsam", "missing"))
    comparisons = [figure for figure in figures if figure["kind"] == "comparison"]
    if comparisons:
        print_figures(comparisons, list(comparisons[0])[1:])
    write_results(args.output, "end_to_end", method, [*figures, *material.prepared.values()], start)
    _plot(ways, args)


def _arguments() -> argparse.Namespace:
    numbers = {"batch_size": 8, "batches": 8, "rounds": 5, "cores": 2, "repeats": 8}
    command = benchmark_parser("training.end_to_end", __doc__, segments=[8, 16], **numbers)
    add_clip_arguments(command)
    add = command.add_argument
    kind = "cuda" if torch.cuda.is_available() else "cpu"
    add("--device", choices=list(NETWORKS), default=kind, help="cpu or cuda (default: cuda if there is one)")
    arches = ", ".join(f"{arch} on a {device} device" for device, (arch, _) in NETWORKS.items())
    add("--arch", help=f"backbone, a timm name (default: {arches})")
    pools = " and ".join(f"{pool} ({device})" for device, (_, pool) in NETWORKS.items())
    help_pool = f"frames of 224 x 224 are averaged over N x N pixels before they enter the network (default: {pools})"
    add("--pool", type=positive, metavar="N", help=help_pool)
    add("--ways", nargs="+", choices=list(WAYS), metavar="WAY", default=list(WAYS), help="only these (default: all)")
    args = command.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        command.error("--device cuda: there is no GPU here")
    arch, pool = NETWORKS[args.device]
    args.arch, args.pool = args.arch or arch, args.pool or pool
    args.ways = list(dict.fromkeys([TSAM, *args.ways]))
    return args


def measure(material: Material, segments: int, cores: Sequence[int], args: argparse.Namespace) -> list[dict[str, Any]]:
    """A figure of each way, for so many frames."""
    sizes = loader_settings(segments, args.batch_size, args.cores)
    settings = [*sizes, f"model.arch={args.arch}", "training_param.compile=false"]
    network = Network(args.arch, args.pool, args.device, threads=max(1, args.cores // 2))
    missing = {name: "needs a GPU" for name in args.ways if WAYS[name].needs_gpu and args.device == "cpu"}
    makers = {
        name: partial(Training, make_reader(name, material, settings, args.device), network)
        for name in args.ways
        if name not in missing
    }
    with running(makers, cores) as variants:
        present, unavailable = present_and_missing(variants)
        missing |= unavailable
        for variant in present:
            _turn(variant, 1, args)
        turns = take_turns(present, args.rounds, lambda variant: _turn(variant, args.batches, args))
    figures = []
    for name in args.ways:
        figure: dict[str, Any] = {"kind": "way", "segments": segments, "way": name, "missing": missing.get(name)}
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
    found = {figure["way"]: figure for figure in figures if not figure["missing"]}
    if found.keys() >= {COPIES_OURS, JPEG_OURS}:
        figures.append(compared(found[COPIES_OURS], found[JPEG_OURS]))
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
        figure[f"{name}_rate_relative_to_tsam"] = ratios(rates, others)
        uses = [key for key in turns[0][part] if key.endswith("_use")]  # of the GPU, percent
        figure |= {f"{name}_{use}": quartiles([turn[part][use] for turn in turns]) for use in uses}
    return figure


def _plot(figures: Sequence[Mapping[str, Any]], args: argparse.Namespace) -> None:
    panels = []
    for segments in args.segments:
        ways = [f for f in figures if f["segments"] == segments and not f["missing"]]
        loaders = [f for f in ways if f["way"] != NETWORK]
        for title, key, chosen in (
            ("loader alone, clips/s: more is better", "loader_clips_per_second", loaders),
            ("loader alone, CPU ms per clip: less is better", "loader_cpu_ms_per_clip", loaders),
            ("training, clips/s: more is better", "training_clips_per_second", ways),
        ):
            panels.append(panel(f"{segments} frames, {title}", chosen, "way", key, _is_ours))
    for title, key in (
        ("Preparation, CPU seconds per clip: less is better", "preparation_cpu_seconds_per_clip"),
        ("On the disk, kB per clip", "kilobytes_per_clip"),
        ("Files per clip", "files_per_clip"),
    ):
        panels.append(panel(title, loaders, "way", key, _is_ours))
    title = f"From videos to training, {args.cores} cores: {args.arch}, frames {args.pool} times smaller"
    plot_bars(args.output, panels, title=title, columns=3)


def _is_ours(way: str) -> bool:
    return "ours" in way


if __name__ == "__main__":
    main()
