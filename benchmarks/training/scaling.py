"""How the loader scales with its processes, what memory it takes, and what several ranks cost (on the CPU).

Clips/s of the loader on training copies against the number of decode processes (0: the training process decodes);
memory of all its processes against the size of a batch and the batches prepared ahead; the step of one process and of
two, alone and as ranks of a job that averages its gradients. benchmarks/README.md describes the method.

example:
  python -m benchmarks.training.scaling --data my_data/videos --processes 0 1 2 4 8 16 --cores 16
"""

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness.arguments import add_arch, benchmark_parser, values_of
from benchmarks.harness.clips import add_clip_arguments, all_clips
from benchmarks.harness.linked_dataset import Repeated
from benchmarks.harness.material import CONFIG, OF_COPIES, check_videos, loader_settings, prefetched
from benchmarks.harness.measure import quartiles, running, take_turns
from benchmarks.harness.plots import panel, plot_bars
from benchmarks.harness.preparation import copy, precompute, run
from benchmarks.harness.processes import choose_cores, memory_mb, tree
from benchmarks.harness.results import origin, print_figures, write_results
from benchmarks.loading.readers import ours, read
from benchmarks.training.ranks import COMPARED, MODES, ranks
from tsam_dali.cli.common import friendly_errors

METHOD = {
    "workers": "clips/s and CPU time of all processes of the loader; one uncounted round, then the variants take turns",
    "memory": "MB (10^6 bytes) of all processes of the loader after some batches, shared pages counted by their share",
    "ddp": "wall time of a step of each process, one thread and core each; overhead beside the same processes apart",
    "data": "training copies, file cache warm",
    "quartiles": "median and quartiles over the rounds",
}


@friendly_errors
def main() -> None:
    args = _arguments()
    videos = all_clips(args)
    check_videos(videos, args.repeats, max(args.batch_sizes))
    cores, start = choose_cores(args.cores), origin()
    with tempfile.TemporaryDirectory(prefix="scaling_benchmark_") as folder:
        data = _data(Path(folder), videos, args)
        figures = [*_workers(data, cores, args), *_memory(data, cores, args)]
    figures += _ranks(choose_cores(2), args)
    names = ("rounds", "batches", "batch_size", "segments", "cores", "repeats", "arch", "pixels", "steps")
    _print(figures)
    write_results(args.output, "scaling", METHOD | values_of(args, names), figures, start)
    _plot(figures, args.output)


def _arguments() -> argparse.Namespace:
    numbers = {"segments": 8, "batch_size": 8, "batches": 8, "rounds": 5, "cores": 2, "repeats": 8, "pixels": 64}
    memory = {"batch_sizes": [4, 8, 16], "prefetch": [1, 2, 4]}
    command = benchmark_parser("training.scaling", __doc__, **numbers, **memory, steps=8)
    add_clip_arguments(command)
    add_arch(command, "resnet18")
    counts, help_counts = [0, 1, 2, 3, 4], "decode processes (default: 0 1 2 3 4)"
    command.add_argument("--processes", type=int, nargs="+", default=counts, metavar="N", help=help_counts)
    return command.parse_args()


def _data(root: Path, videos: Sequence[Path], args: argparse.Namespace) -> Path:
    """A data set of training copies with their audio."""
    data = Repeated([path.stem for path in videos], args.repeats).make(root / "data", {"videos": videos})
    run(copy(data, args.cores, "copies"))
    run(precompute(data, CONFIG, args.cores, OF_COPIES))
    return data


def _workers(data: Path, cores: Sequence[int], args: argparse.Namespace) -> list[dict[str, Any]]:
    settings = [*loader_settings(args.segments, args.batch_size, args.cores), *OF_COPIES]
    makers = {
        str(count): partial(ours, data, CONFIG, [*settings, f"pipeline.workers={count}"]) for count in args.processes
    }
    skip = {str(count): prefetched(count) for count in args.processes}
    with running(makers, cores) as variants:
        for variant in variants:
            read(variant, skip[variant.name], 1)
        turns = take_turns(variants, args.rounds, lambda variant: read(variant, skip[variant.name], args.batches))
    return [
        {"kind": "workers", "workers": int(name)}
        | {key: quartiles([turn[key] for turn in found]) for key in ("clips_per_second", "cpu_ms_per_clip")}
        for name, found in turns.items()
    ]


def _memory(data: Path, cores: Sequence[int], args: argparse.Namespace) -> list[dict[str, Any]]:
    cases = [(size, 2) for size in args.batch_sizes] + [(min(args.batch_sizes), ahead) for ahead in args.prefetch]
    figures = []
    for size, ahead in dict.fromkeys(cases):
        settings = [*loader_settings(args.segments, size, args.cores), *OF_COPIES, f"pipeline.prefetch={ahead}"]
        with running({"loader": partial(ours, data, CONFIG, settings)}, cores) as (variant,):
            read(variant, 2 * args.cores + ahead, args.batches)
            parts = [memory_mb(pid)["pss"] for pid in tree(variant.pid)]
        figure = {"kind": "memory", "batch_size": size, "prefetch": ahead, "main_mb": parts[0]}
        figures.append(figure | {"workers_mb": round(sum(parts[1:]), 1), "all_mb": round(sum(parts), 1)})
    return figures


def _ranks(cores: Sequence[int], args: argparse.Namespace) -> list[dict[str, Any]]:
    sizes = {"segments": args.segments, "batch_size": 2, "pixels": args.pixels}
    with ExitStack() as stack:
        groups = [stack.enter_context(ranks(name, cores, sizes, args.arch)) for name in MODES]
        for group in groups:
            group.call("steps", 2)
        turns = take_turns(groups, args.rounds, lambda group: max(group.call("steps", args.steps)))
    figures = []
    for name, seconds in turns.items():
        figure: dict[str, Any] = {
            "kind": "ranks",
            "ranks": name,
            "seconds_per_step": quartiles(seconds),
            "overhead": None,
        }
        if name in COMPARED:
            pairs = zip(seconds, turns[COMPARED[name]], strict=True)
            figure["overhead"] = quartiles([together / apart - 1 for together, apart in pairs])
        figures.append(figure)
    return figures


def _print(figures: Sequence[Mapping[str, Any]]) -> None:
    print_figures(_of(figures, "workers"), ("workers", "clips_per_second", "cpu_ms_per_clip"))
    print_figures(_of(figures, "memory"), ("batch_size", "prefetch", "main_mb", "workers_mb", "all_mb"))
    print_figures(_of(figures, "ranks"), ("ranks", "seconds_per_step", "overhead"))


def _plot(figures: Sequence[Mapping[str, Any]], path: Path) -> None:
    workers = [{**f, "name": f"{f['workers']} decode processes"} for f in _of(figures, "workers")]
    memory = [{**f, "name": f"batch {f['batch_size']}, {f['prefetch']} ahead"} for f in _of(figures, "memory")]
    steps = "A step, one core for each process, seconds"
    panels = [
        panel("Loader, clips per second: more is better", workers, "name", "clips_per_second", lambda _: True),
        panel("Memory of all processes of the loader, MB", memory, "name", "all_mb", lambda _: True),
        panel(steps, _of(figures, "ranks"), "ranks", "seconds_per_step", lambda name: "DDP" in name),
    ]
    plot_bars(path, panels, title="Processes, memory and ranks on the CPU", columns=3)


def _of(figures: Sequence[Mapping[str, Any]], kind: str) -> list[Mapping[str, Any]]:
    return [figure for figure in figures if figure["kind"] == kind]


if __name__ == "__main__":
    main()
