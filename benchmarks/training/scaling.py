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

from benchmarks.harness.arguments import add_numbers
from benchmarks.harness.clips import add_clip_arguments, clip_groups
from benchmarks.harness.linked_dataset import Repeated
from benchmarks.harness.material import CONFIG, OF_COPIES, check_videos, loader_settings, prefetched
from benchmarks.harness.measure import Variant, quartiles, running, take_turns
from benchmarks.harness.plots import Bar, Panel, plot_bars
from benchmarks.harness.preparation import copy, precompute, run
from benchmarks.harness.processes import choose_cores, memory_mb, tree, wait_until_idle
from benchmarks.harness.results import add_output_argument, origin, print_table, write_results
from benchmarks.loading.readers import ours
from benchmarks.training.ranks import COMPARED, MODES, ranks
from tsam_dali.cli.common import friendly_errors, parser, positive

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
    videos = [path for paths in clip_groups(args).values() for path in paths]
    check_videos(videos, args.repeats, max(args.batch_sizes))
    cores, start = choose_cores(args.cores), origin()
    with tempfile.TemporaryDirectory(prefix="scaling_benchmark_") as folder:
        data = _data(Path(folder), videos, args)
        figures = [*_workers(data, cores, args), *_memory(data, cores, args)]
    figures += _ranks(choose_cores(2), args)
    names = ("rounds", "batches", "batch_size", "segments", "cores", "repeats", "arch", "pixels", "steps")
    _print(figures)
    write_results(args.output, "scaling", METHOD | {name: getattr(args, name) for name in names}, figures, start)
    _plot(figures, args.output.with_suffix(".png"))


def _arguments() -> argparse.Namespace:
    command = parser("python -m benchmarks.training.scaling", __doc__)
    add_clip_arguments(command)
    add_numbers(command, segments=8, batch_size=8, batches=8, rounds=5, cores=2, repeats=8, pixels=64, steps=8)
    add = command.add_argument
    help_processes = "decode processes (default: 0 1 2 3 4)"
    add("--processes", type=int, nargs="+", default=[0, 1, 2, 3, 4], metavar="N", help=help_processes)
    help_sizes = "batches whose memory is measured, with 2 prepared ahead (default: 4 8 16)"
    add("--batch_sizes", type=positive, nargs="+", default=[4, 8, 16], metavar="N", help=help_sizes)
    help_prefetch = "batches prepared ahead whose memory is measured, with the smallest batch (default: 1 2 4)"
    add("--prefetch", type=positive, nargs="+", default=[1, 2, 4], metavar="N", help=help_prefetch)
    add("--arch", default="resnet18", help="backbone of the ranks (default: %(default)s)")
    add_output_argument(command, "scaling")
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
            _read(variant, skip[variant.name], 1)
        turns = take_turns(variants, args.rounds, lambda variant: _read(variant, skip[variant.name], args.batches))
    return [
        {"kind": "workers", "workers": int(name)}
        | {key: quartiles([turn[key] for turn in found]) for key in ("clips_per_second", "cpu_ms_per_clip")}
        for name, found in turns.items()
    ]


def _read(variant: Variant, skip: int, count: int) -> dict[str, float]:
    found = variant.call("read", skip, count)
    wait_until_idle(variant.pid)
    return found


def _memory(data: Path, cores: Sequence[int], args: argparse.Namespace) -> list[dict[str, Any]]:
    cases = [(size, 2) for size in args.batch_sizes] + [(min(args.batch_sizes), ahead) for ahead in args.prefetch]
    figures = []
    for size, ahead in dict.fromkeys(cases):
        settings = [*loader_settings(args.segments, size, args.cores), *OF_COPIES, f"pipeline.prefetch={ahead}"]
        with running({"loader": partial(ours, data, CONFIG, settings)}, cores) as (variant,):
            _read(variant, 2 * args.cores + ahead, args.batches)
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
        figure = {"kind": "ranks", "ranks": name, "seconds_per_step": quartiles(seconds), "overhead": None}
        if name in COMPARED:
            pairs = zip(seconds, turns[COMPARED[name]], strict=True)
            figure["overhead"] = quartiles([together / apart - 1 for together, apart in pairs])
        figures.append(figure)
    return figures


def _print(figures: Sequence[Mapping[str, Any]]) -> None:
    workers, memory, groups = (_of(figures, kind) for kind in ("workers", "memory", "ranks"))
    rows = [(f["workers"], *f["clips_per_second"].values(), f["cpu_ms_per_clip"]["median"]) for f in workers]
    print_table(("decode processes", "clips/s", "q1", "q3", "CPU ms per clip"), rows)
    print()
    keys = ("batch_size", "prefetch", "main_mb", "workers_mb", "all_mb")
    print_table(
        ("batch", "ahead", "main, MB", "decode processes, MB", "all, MB"), [[f[k] for k in keys] for f in memory]
    )
    print()
    rows = [(f["ranks"], *f["seconds_per_step"].values(), f["overhead"] and f["overhead"]["median"]) for f in groups]
    print_table(("processes", "s per step", "q1", "q3", "overhead of DDP"), rows)


def _plot(figures: Sequence[Mapping[str, Any]], path: Path) -> None:
    workers, memory, groups = (_of(figures, kind) for kind in ("workers", "memory", "ranks"))
    panels = [
        Panel(
            "Loader: more is better",
            "clips per second",
            [Bar(f"{f['workers']} decode processes", **f["clips_per_second"], ours=True) for f in workers],
        ),
        Panel(
            "Memory of all processes of the loader",
            "MB",
            [
                Bar(f"batch {f['batch_size']}, {f['prefetch']} ahead", f["all_mb"], f["all_mb"], f["all_mb"], ours=True)
                for f in memory
            ],
        ),
        Panel(
            "A step, one core for each process",
            "seconds",
            [Bar(f["ranks"], **f["seconds_per_step"], ours="DDP" in f["ranks"]) for f in groups],
        ),
    ]
    plot_bars(path, panels, title="Processes, memory and ranks on the CPU", columns=3)


def _of(figures: Sequence[Mapping[str, Any]], kind: str) -> list[Mapping[str, Any]]:
    return [figure for figure in figures if figure["kind"] == kind]


if __name__ == "__main__":
    main()
