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
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from tqdm import tqdm

from benchmarks.harness.arguments import add_numbers
from benchmarks.harness.clips import add_clip_arguments, clip_groups
from benchmarks.harness.linked_dataset import Repeated
from benchmarks.harness.plots import DPI, INK, OTHERS, OURS, tidy
from benchmarks.harness.preparation import ROOT, precompute, run
from benchmarks.harness.processes import memory_mb, open_files
from benchmarks.harness.results import add_output_argument, origin, print_table, write_results
from benchmarks.loading.readers import endless
from pipelines.dataset.list_file import SPLITS
from pipelines.dataset.load import load_clips
from pipelines.loader import build_loader
from tsam_dali.cli.common import add_config_arguments, friendly_errors, parser
from tsam_dali.cli.example import ensure_example, ensure_example_audio
from tsam_dali.config import load_config
from tsam_dali.config.load import Config

LARGE_CONFIG = ROOT / "config" / "kinetics400_config.json"
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
    videos = [path for paths in clip_groups(args).values() for path in paths]
    start = origin()
    series = watch_epochs(config, args.epochs)
    peaks = peak_of_workers(videos, args)
    figures = [*(_figure(name, values) for name, values in series.items()), *peaks]
    method = METHOD | {name: getattr(args, name) for name in ("epochs", "workers", "batches", "segments", "batch_size")}
    columns = ("process", "quantity", "first epoch", "last epoch", "highest", "slope per epoch")
    print_table(columns, [[figure.get(column.replace(" ", "_")) for column in columns] for figure in figures])
    _print_limit(figures)
    write_results(args.output, "memory", method, figures, start)
    plot_series(series, args.output.with_suffix(".png"))


def _arguments() -> argparse.Namespace:
    command = parser("python -m benchmarks.loading.memory", __doc__)
    add_config_arguments(command)
    add_clip_arguments(command, names=["--videos"])  # --data is the example
    add_numbers(command, epochs=50, workers=2, batches=30, segments=16, batch_size=8)
    add_output_argument(command, "memory")
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


def _workers(purpose: str, before: Sequence[multiprocessing.Process]) -> dict[str, int]:
    """Name and process of each worker that was started since the list `before` was made."""
    started = sorted(child.pid for child in multiprocessing.active_children() if child not in before)
    return {f"{purpose}, worker {number}": pid for number, pid in enumerate(started, 1)}


def peak_of_workers(videos: Sequence[Path], args: argparse.Namespace) -> list[dict[str, Any]]:
    """The memory of decode workers that read large clips with their audio, one figure for each worker and quantity."""
    with tempfile.TemporaryDirectory(prefix="memory_benchmark_") as folder:
        repeats = -(-(2 * args.batch_size + 1) // len(videos))
        data = Repeated([path.stem for path in videos], repeats).make(Path(folder) / "large", {"videos": videos})
        run(precompute(data, LARGE_CONFIG, args.workers))
        settings = {
            "model.video_segments": args.segments,
            "model.audio_segments": 1,
            "training_param.batch_size": args.batch_size,
            "pipeline.workers": args.workers,
        }
        config = load_config(data, LARGE_CONFIG, [f"{name}={value}" for name, value in settings.items()])
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
    figure = Figure(figsize=(12, 4.2), layout="constrained")
    figure.suptitle("The loader over the epochs of the example data", fontsize=13, color=INK, fontweight="bold")
    panels = (
        ("Main process", "resident MB", lambda name, quantity: name == "main" and quantity == "rss"),
        ("Decode workers", "resident MB", lambda name, quantity: name != "main" and quantity == "rss"),
        ("Open files", "files", lambda name, quantity: quantity == "open files"),
    )
    for axes, (title, unit, chosen) in zip(figure.subplots(1, 3), panels, strict=True):
        for (name, quantity), values in series.items():
            if chosen(name, quantity):
                color = {"main": INK, "training": OURS}.get(name.split(",")[0], OTHERS)
                dashed = "--" if name.endswith("2") else "-"
                axes.plot(range(1, len(values) + 1), values, dashed, label=name, color=color, linewidth=1.8)
        axes.set_title(title, loc="left", fontsize=10, color=INK)
        axes.set_xlabel("epoch", color=INK, fontsize=9)
        axes.set_ylabel(unit, color=INK, fontsize=9)
        axes.set_ylim(0, 1.35 * axes.get_ylim()[1])
        axes.legend(fontsize=8, frameon=False, loc="upper left", ncols=2)
        tidy(axes)
    figure.savefig(path, dpi=DPI, facecolor="white")


if __name__ == "__main__":
    main()
