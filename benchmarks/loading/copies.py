"""Make training copies with several settings of the encoder, and compare their size with the time to sample them.

Each copy is asked for the same draws of training frames, on one core. The videos as they are and JPEG frames as TSAM
extracts them stand beside the copies. benchmarks/README.md describes the method.

example:
  python -m benchmarks.loading.copies --videos my_data/videos
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from benchmarks.harness.arguments import add_seed, benchmark_parser, values_of
from benchmarks.harness.clips import add_clip_arguments, all_clips
from benchmarks.harness.linked_dataset import size_of
from benchmarks.harness.measure import quartiles, ratios
from benchmarks.harness.plots import plot_figures
from benchmarks.harness.processes import choose_cores, pin
from benchmarks.harness.results import origin, print_figures, write_results
from pipelines.decode import decode_frames
from pipelines.decode.frames import probe
from pipelines.parallel.pool import in_processes
from pipelines.sampling import training_frames
from pipelines.transcode.copy_options import CopyOptions
from pipelines.transcode.training_copy import write_copy
from tools.video2frames import extract_frames
from tsam_dali.cli.common import friendly_errors

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
CPU_MS, RATE = "cpu_ms_{}_frames", "rate_{}_frames_relative_to_originals"
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
    videos = all_clips(args)
    start = origin()
    with tempfile.TemporaryDirectory(prefix="copies_benchmark_") as folder:
        materials, seconds = _materials(videos, Path(folder), args.workers)
        pin(choose_cores(1))
        times = _measure(materials, args.rounds, args.draws, args.seed)
        figures = [_figure(name, materials, times, seconds) for name in materials]
    sampled = [key for count in SEGMENTS for key in (CPU_MS.format(count), RATE.format(count))]
    sizes = ("bytes_relative", "kilobytes_per_clip", "psnr_db", "cpu_seconds_to_make")
    print_figures(figures, ("variant", *sizes, *sampled))
    settings = {name: vars(options) for name, options in COPIES.items()}
    method = METHOD | values_of(args, ("rounds", "draws", "seed")) | {"settings": settings}
    write_results(args.output, "copies", method | {"num_clips": len(videos)}, figures, start)
    panels = {"Bytes, the original videos = 1: less is better": "bytes_relative"}
    panels |= {f"CPU ms to decode {count} frames, one core: less is better": CPU_MS.format(count) for count in SEGMENTS}
    copies, title = figures[1:], "Training copies: size and the time to sample them"
    plot_figures(args.output, copies, "variant", panels, ours=lambda name: name == DEFAULT, title=title)


def _arguments() -> argparse.Namespace:
    command = benchmark_parser("loading.copies", __doc__, rounds=5, workers=2, draws=3)
    add_clip_arguments(command)
    add_seed(command)
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
                jobs += [(path, training_frames(length, count, rng).tolist()) for _ in range(draws)]
            start = time.process_time()
            for path, frames in jobs:
                material.decode(path, frames)
            if turn > 0:
                times[name, count].append(1000 * (time.process_time() - start) / len(jobs))
    return times


def _figure(
    name: str,
    materials: Mapping[str, Material],
    times: Mapping[tuple[str, int], list[float]],
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    material, originals = materials[name], materials[ORIGINALS]
    size, files = size_of(material.paths)
    number = len(material.paths)
    copied = name in COPIES and COPIES[name].fps == 0
    figure: dict[str, Any] = {
        "variant": name,
        "bytes_relative": round(size / size_of(originals.paths)[0], 4),
        "kilobytes_per_clip": round(size / number / 1000, 1),
        "files_per_clip": files / number,
        "psnr_db": round(float(np.mean(list(map(_psnr, material.paths, originals.paths)))), 2) if copied else None,
        "cpu_seconds_to_make": round(seconds[name], 2) if name in seconds else None,
    }
    for count in SEGMENTS:
        figure |= {
            CPU_MS.format(count): quartiles(times[name, count]),
            RATE.format(count): ratios(times[ORIGINALS, count], times[name, count]),
        }
    return figure


def _psnr(copy: Path, original: Path) -> float:
    frames = np.linspace(0, probe(copy).frames - 1, 8).astype(int).tolist()
    found = decode_frames(copy, frames).astype(np.float32)
    size = found.shape[2], found.shape[1]
    originals = [Image.fromarray(frame) for frame in decode_frames(original, frames)]
    expected = np.stack([np.asarray(image.resize(size, Image.Resampling.BICUBIC), np.float32) for image in originals])
    return float(10 * np.log10(255**2 / np.mean((found - expected) ** 2)))


if __name__ == "__main__":
    main()
