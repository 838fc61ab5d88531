"""Make training copies with several settings of the encoder, and compare their size with the time to sample them.

Each copy is asked for the same draws of training frames, on one core. The videos as they are and JPEG frames as TSAM
extracts them stand beside the copies. benchmarks/README.md describes the method.

example:
  python -m benchmarks.loading.copies --videos my_data/videos
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from benchmarks.harness.arguments import add_numbers
from benchmarks.harness.clips import add_clip_arguments, clip_groups
from benchmarks.harness.linked_dataset import size_of
from benchmarks.harness.measure import quartiles
from benchmarks.harness.plots import Bar, Panel, plot_bars
from benchmarks.harness.processes import choose_cores, pin
from benchmarks.harness.results import add_output_argument, origin, print_table, write_results
from pipelines.decode import decode_frames
from pipelines.decode.frames import probe
from pipelines.parallel.pool import in_processes
from pipelines.sampling import training_frames
from pipelines.transcode.training_copy import CopyOptions, write_copy
from tools.video2frames import extract_frames
from tsam_dali.cli.common import friendly_errors, parser, positive

DEFAULT = "copies as made by default"
COPIES = {
    DEFAULT: CopyOptions(),
    "with loop filter and CABAC": CopyOptions(tune="ssim"),
    "all frames random access": CopyOptions(group=1, crf=30),
    "group of 8": CopyOptions(group=8),
    "group of 32": CopyOptions(group=32),
    "group of 250": CopyOptions(group=250),
    "no B-frames": CopyOptions(b_frames=0),
    "3 B-frames, group of 12": CopyOptions(b_frames=3, group=12),
    "crf 23": CopyOptions(crf=23),
    "crf 29": CopyOptions(crf=29),
    "preset veryfast": CopyOptions(preset="veryfast"),
    "10 frames per second": CopyOptions(fps=10),
}
SEGMENTS = (8, 16)
TEMPLATE, JPEG_FPS = "{:05d}.jpg", 10
METHOD = {
    "cpu_ms": "CPU time to decode the drawn frames of a clip, mean of all clips and draws in a round; median and "
    "quartiles over the rounds",
    "psnr_db": "of 8 frames of each copy against the original's, scaled by Pillow (bicubic), RGB",
    "bytes_relative": "with the audio (JPEG frames: without), by the originals'",
    "warm_up": "one uncounted round",
    "file_cache": "warm",
    "order": "one process on one core; the variants take turns",
}


@dataclass(frozen=True)
class Material:
    """What the clips look like in one variant."""

    paths: Sequence[Path]  # files, or folders of frames
    decode: Callable[[Path, Sequence[int]], Any]
    lengths: Sequence[int]  # frames of each clip


@friendly_errors
def main() -> None:
    args = _arguments()
    videos = [path for paths in clip_groups(args).values() for path in paths]
    start = origin()
    with tempfile.TemporaryDirectory(prefix="copies_benchmark_") as folder:
        materials, seconds = _materials(videos, Path(folder), args.workers)
        pin(choose_cores(1))
        times = _measure(materials, args.rounds, args.draws, args.seed)
        figures = [_figure(name, material, materials, times, seconds) for name, material in materials.items()]
    _print(figures)
    settings = {name: vars(options) for name, options in COPIES.items()}
    method = METHOD | {"rounds": args.rounds, "draws": args.draws, "seed": args.seed, "settings": settings}
    write_results(args.output, "copies", method | {"num_clips": len(videos)}, figures, start)
    _plot(figures, args.output.with_suffix(".png"))


def _arguments() -> argparse.Namespace:
    command = parser("python -m benchmarks.loading.copies", __doc__)
    add_clip_arguments(command)
    add_numbers(command, rounds=5, workers=2)
    add = command.add_argument
    add("--draws", type=positive, default=3, help="draws of frames for each clip and round (default: %(default)s)")
    add("--seed", type=int, default=0, help="of the draws (default: %(default)s)")
    add_output_argument(command, "copies")
    return command.parse_args()


ORIGINALS, JPEGS = "videos as they are", "JPEG frames, 10 fps, height 256"


def _materials(videos: Sequence[Path], folder: Path, workers: int) -> tuple[dict[str, Material], dict[str, float]]:
    """The clips in every variant; CPU seconds to make each copy, mean of the clips."""
    materials = {ORIGINALS: Material(videos, decode_frames, [probe(video).frames for video in videos])}
    jpegs = [folder / "jpeg" / str(number) for number in range(len(videos))]
    for video, target in zip(tqdm(videos, desc="JPEG frames", unit="clip"), jpegs, strict=True):
        target.parent.mkdir(exist_ok=True)
        extract_frames(video.absolute(), target, JPEG_FPS, TEMPLATE)
    materials[JPEGS] = Material(jpegs, _decode_jpegs, [sum(1 for _ in target.iterdir()) for target in jpegs])
    seconds = {}
    for number, (name, options) in enumerate(tqdm(COPIES.items(), desc="copies", unit="setting")):
        targets = [folder / str(number) / f"{i}.mp4" for i in range(len(videos))]
        jobs = zip(videos, targets, [options] * len(videos), strict=True)
        seconds[name] = float(np.mean(list(in_processes(_timed_copy, jobs, workers))))
        materials[name] = Material(targets, decode_frames, [probe(target).frames for target in targets])
    return materials, seconds


def _timed_copy(video: Path, target: Path, options: CopyOptions) -> float:
    start = time.process_time()
    write_copy(video, target, options)
    return time.process_time() - start


def _decode_jpegs(folder: Path, frames: Sequence[int]) -> np.ndarray:
    return np.stack([np.asarray(Image.open(folder / TEMPLATE.format(frame + 1)).convert("RGB")) for frame in frames])


def _measure(materials: dict[str, Material], rounds: int, draws: int, seed: int) -> dict[tuple[str, int], list[float]]:
    """CPU milliseconds per clip in each round, by variant and number of frames."""
    times: dict[tuple[str, int], list[float]] = {(name, count): [] for name in materials for count in SEGMENTS}
    for turn in tqdm(range(rounds + 1), desc="rounds", unit="round"):
        for name, count in times:
            material, jobs = materials[name], []
            for i, (path, length) in enumerate(zip(material.paths, material.lengths, strict=True)):
                rng = np.random.default_rng((seed, i, turn))
                jobs += [(path, training_frames(length, count, rng)) for _ in range(draws)]
            start = time.process_time()
            for path, frames in jobs:
                material.decode(path, frames)
            if turn > 0:
                times[name, count].append(1000 * (time.process_time() - start) / len(jobs))
    return times


def _figure(name, material, materials, times, seconds) -> dict[str, Any]:
    originals = materials[ORIGINALS]
    size, files = size_of(material.paths)
    number = len(material.paths)
    copied = name in COPIES and COPIES[name].fps == 0
    figure = {
        "variant": name,
        "bytes_relative": round(size / size_of(originals.paths)[0], 4),
        "kilobytes_per_clip": round(size / number / 1000, 1),
        "files_per_clip": files / number,
        "psnr_db": round(float(np.mean(list(map(_psnr, material.paths, originals.paths)))), 2) if copied else None,
        "cpu_seconds_to_make": round(seconds[name], 2) if name in seconds else None,
    }
    for count in SEGMENTS:
        ratio = [a / b for a, b in zip(times[ORIGINALS, count], times[name, count], strict=True)]
        figure |= {
            f"cpu_ms_{count}_frames": quartiles(times[name, count]),
            f"rate_{count}_frames_relative_to_originals": quartiles(ratio),
        }
    return figure


def _psnr(copy: Path, original: Path) -> float:
    frames = np.linspace(0, probe(copy).frames - 1, 8).astype(int)
    found = decode_frames(copy, frames).astype(np.float32)
    size = found.shape[2], found.shape[1]
    expected = [Image.fromarray(f).resize(size, Image.Resampling.BICUBIC) for f in decode_frames(original, frames)]
    return float(10 * np.log10(255**2 / np.mean((found - np.stack(expected).astype(np.float32)) ** 2)))


def _print(figures: Sequence[dict[str, Any]]) -> None:
    columns = ("variant", "bytes, originals = 1", "kB per clip", "PSNR, dB", "CPU s to make")
    rows = []
    for figure in figures:
        row = [
            figure[key] for key in ("variant", "bytes_relative", "kilobytes_per_clip", "psnr_db", "cpu_seconds_to_make")
        ]
        for count in SEGMENTS:
            row.append(figure[f"cpu_ms_{count}_frames"]["median"])
            row.append(figure[f"rate_{count}_frames_relative_to_originals"]["median"])
        rows.append(row)
    print_table((*columns, *(text for s in SEGMENTS for text in (f"ms, {s} frames", "rate, originals = 1"))), rows)


def _plot(figures: Sequence[dict[str, Any]], path: Path) -> None:
    figures = [figure for figure in figures if figure["variant"] != ORIGINALS]
    bytes_taken = [dict.fromkeys(("median", "q1", "q3"), f["bytes_relative"]) for f in figures]
    panels = [_panel("Size: less is better", "bytes, the original videos = 1", figures, bytes_taken)]
    for count in SEGMENTS:
        times = [f[f"cpu_ms_{count}_frames"] for f in figures]
        panels.append(_panel(f"To decode {count} frames: less is better", "CPU ms per clip, one core", figures, times))
    plot_bars(path, panels, title="Training copies: size and the time to sample them", columns=3)


def _panel(title: str, unit: str, figures: Sequence[dict[str, Any]], numbers: Sequence[dict[str, float]]) -> Panel:
    pairs = zip(figures, numbers, strict=True)
    return Panel(title, unit, [Bar(f["variant"], **n, ours=f["variant"] == DEFAULT) for f, n in pairs])


if __name__ == "__main__":
    main()
