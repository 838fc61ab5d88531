"""Watch memory and open files of the loader over many epochs, and the peak of decode workers on large clips.

Nothing is trained: both loaders of the example data (made if need be) are iterated as training does it. Then clips as
they come from the web (--videos, default: clips that are made first) are read for a while, for the workers' peak.

example:
  python -m benchmarks.loading.memory --epochs 50
"""

import argparse
import multiprocessing
import os
import tempfile
from collections.abc import Mapping, Sequence
from itertools import islice
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.harness.arguments import benchmark_parser, values_of
from benchmarks.harness.clips import add_clip_arguments, all_clips
from benchmarks.harness.linked_dataset import Repeated
from benchmarks.harness.material import CONFIG, loader_settings
from benchmarks.harness.plots import INK, OTHERS, OURS, Line, plot_lines
from benchmarks.harness.preparation import precompute, run
from benchmarks.harness.processes import memory_mb, open_files
from benchmarks.harness.results import origin, print_figures, write_results
from benchmarks.loading.readers import endless
from pipelines.dataset.list_file import SPLITS
from pipelines.dataset.load import load_clips
from pipelines.loader import build_loader
from tsam_dali.cli.common import add_config_arguments, friendly_errors
from tsam_dali.cli.example import ensure_example, ensure_example_audio
from tsam_dali.config import load_config
from tsam_dali.config.load import Config

WORKER_LIMIT_MB = 400
WARM_UP = 0.2  # part of the epochs that the slope leaves out: buffers and allocators grow to their size

METHOD = {
    "rss": "resident memory, MB (10^6 bytes), after each epoch; pages shared with others included",
    "pss": "the same, each shared page counted by its share",
    "private": "resident memory that no other process has",
    "peak": "the largest resident memory that the kernel has seen of the process (VmHWM)",
    "slope": f"least squares over the epochs after the first {WARM_UP:.0%}, MB or files per epoch",
    "worker_limit_mb": WORKER_LIMIT_MB,
}


@friendly_errors
def main() -> None:
    args = _arguments()
    config = load_config(args.data, args.config, [*args.set, f"pipeline.workers={args.workers}"])
    ensure_example(config.dataset)
    ensure_example_audio(config.dataset, ["--data", args.data, "--config", args.config])
    videos = all_clips(args)
    start = origin()
    series = watch_epochs(config, args.epochs)
    peaks = peak_of_workers(videos, args)
    figures = [*(_figure(name, values) for name, values in series.items()), *peaks]
    method = METHOD | values_of(args, ("epochs", "workers", "batches", "segments", "batch_size"))
    columns = ("process", "quantity", "first_epoch", "last_epoch", "highest", "slope_per_epoch")
    print_figures(figures, columns)
    _print_limit(figures)
    write_results(args.output, "memory", method, figures, start)
    plot_series(series, args.output)


def _arguments() -> argparse.Namespace:
    numbers = {"epochs": 50, "workers": 2, "batches": 30, "segments": 16, "batch_size": 8}
    command = benchmark_parser("loading.memory", __doc__, **numbers)
    add_config_arguments(command)
    add_clip_arguments(command, names=["--videos"])  # --data is the example
    return command.parse_args()


Series = dict[tuple[str, str], list[float]]
"""(process, quantity) -> its value after each epoch."""


def watch_epochs(config: Config, epochs: int) -> Series:
    """Iterate over both splits as training does, and note what each process holds after every epoch."""
    clips = load_clips(config)
    loaders = {split: build_loader(config, split, clips[split]) for split in SPLITS}
    processes = {"main": os.getpid()}
    series: Series = {}
    for _ in tqdm(range(epochs), desc="epochs", unit="epoch"):
        for split, loader in loaders.items():
            before = multiprocessing.active_children()
            for _batch in loader:
                pass
            processes |= _workers(split, before)
        for name, pid in processes.items():
            for quantity, value in {**memory_mb(pid), "open files": open_files(pid)}.items():
                series.setdefault((name, quantity), []).append(value)
    for loader in loaders.values():
        loader.close()
    return series


def _workers(purpose: str, before: Sequence[BaseProcess]) -> dict[str, int]:
    """Name and process of each worker that was started since the list `before` was made."""
    started = sorted(child.pid or 0 for child in multiprocessing.active_children() if child not in before)
    return {f"{purpose}, worker {number}": pid for number, pid in enumerate(started, 1)}


def peak_of_workers(videos: Sequence[Path], args: argparse.Namespace) -> list[dict[str, Any]]:
    """The memory of decode workers that read large clips with their audio, one figure for each worker and quantity."""
    with tempfile.TemporaryDirectory(prefix="memory_benchmark_") as folder:
        repeats = -(-(2 * args.batch_size + 1) // len(videos))
        data = Repeated([path.stem for path in videos], repeats).make(Path(folder) / "large", {"videos": videos})
        run(precompute(data, CONFIG, args.workers))
        config = load_config(data, CONFIG, loader_settings(args.segments, args.batch_size, args.workers))
        clips = load_clips(config)["training"]
        before = multiprocessing.active_children()
        with build_loader(config, "training", clips) as loader:
            for _ in islice(endless(loader), args.batches):
                pass
            return [
                {"process": name, "quantity": quantity, "last_epoch": value, "highest": value}
                for name, pid in _workers("large clips", before).items()
                for quantity, value in memory_mb(pid).items()
            ]


def _figure(key: tuple[str, str], values: Sequence[float]) -> dict[str, Any]:
    steady = values[int(WARM_UP * len(values)) :]
    slope = float(np.polyfit(range(len(steady)), steady, 1)[0]) if len(steady) > 1 else None
    return {
        "process": key[0],
        "quantity": key[1],
        "first_epoch": values[0],
        "last_epoch": values[-1],
        "highest": max(values),
        "slope_per_epoch": None if slope is None else round(slope, 4) + 0.0,
        "values": values,
    }


def _print_limit(figures: Sequence[Mapping[str, Any]]) -> None:
    for quantity in ("rss", "pss", "private", "peak"):
        workers = [f for f in figures if f["process"] != "main" and f["quantity"] == quantity]
        highest = max(workers, key=lambda figure: figure["highest"])
        verdict = "within" if highest["highest"] <= WORKER_LIMIT_MB else "ABOVE"
        print(
            f"largest {quantity} of a decode worker: {highest['highest']:.0f} MB ({highest['process']}), "
            f"{verdict} the limit of {WORKER_LIMIT_MB} MB"
        )


def plot_series(series: Series, path: Path) -> None:
    """Draw memory and open files of each process over the epochs as a PNG."""
    titles = ("Main process, resident MB", "Decode workers, resident MB", "Open files")
    panels: dict[str, list[Line]] = {title: [] for title in titles}
    main, workers, files = panels.values()
    for (name, quantity), values in series.items():
        color = {"main": INK, "training": OURS}.get(name.split(",")[0], OTHERS)
        line = Line(name, range(1, len(values) + 1), values, color, "--" if name.endswith("2") else "-")
        if quantity == "rss":
            (main if name == "main" else workers).append(line)
        elif quantity == "open files":
            files.append(line)
    plot_lines(path, panels, title="The loader over the epochs of the example data", along="epoch")


if __name__ == "__main__":
    main()
