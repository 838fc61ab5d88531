"""Make training copies with several settings, and compare their size, and the CPU time to make and to sample them.

Each copy is asked for the same draws of training frames, on one core. The videos as they are and JPEG frames, extracted
and decoded as this project does, stand beside the copies. benchmarks/README.md describes the method.

example:
  python -m benchmarks.loading.copies --videos my_data/videos
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from nvidia.dali import Pipeline, fn
from nvidia.dali.types import DALIImageType
from PIL import Image
from tqdm import tqdm

from benchmarks.harness.arguments import add_seed, benchmark_parser, values_of
from benchmarks.harness.clips import add_clip_arguments, all_clips
from benchmarks.harness.linked_dataset import size_of
from benchmarks.harness.measure import quartiles, ratios
from benchmarks.harness.plots import Point, plot_points
from benchmarks.harness.processes import choose_cores, pin
from benchmarks.harness.results import origin, print_figures, write_results
from pipelines.decode import decode_frames
from pipelines.decode.frame_folder import read_frames
from pipelines.decode.frames import probe
from pipelines.decode.jpeg import check_jpeg
from pipelines.decode.reader import VideoReader
from pipelines.parallel.pool import in_processes
from pipelines.sampling import training_frames
from pipelines.transcode.copy_options import PROFILES, CopyOptions
from pipelines.transcode.training_copy import write_copy
from tools.video2frames import extract_frames
from tsam_dali.cli.common import friendly_errors

COPIES = {
    **{f"profile {name}": options for name, (options, _) in PROFILES.items()},
    "fast, all frames random access": CopyOptions(group=1),
    "fast, group of 3": CopyOptions(group=3),
    "fast, group of 4": CopyOptions(group=4),
    "fast, group of 4, 3 B-frames": CopyOptions(group=4, b_frames=3),
    "fast, crf 30": CopyOptions(crf=30),
    "fast, crf 36": CopyOptions(crf=36),
    "fast, preset ultrafast": CopyOptions(preset="ultrafast"),
    "fast, preset veryfast": CopyOptions(preset="veryfast"),
    "fast, adaptive": CopyOptions(adaptive=True),
    "fast, with loop filter and CABAC": CopyOptions(tune="ssim"),
    "fast, short side 224": CopyOptions(short_side=224),
    "fast, short side 288": CopyOptions(short_side=288),
    "fast, 15 frames per second": CopyOptions(fps=15),
    "fast, all frames": CopyOptions(fps=0),
    "earlier default": CopyOptions(fps=0, crf=26, preset="slow", group=16, b_frames=7, adaptive=True),
}
SEGMENTS = (8, 16)
PSNR_FRAMES, GOOD_DB = 16, 33.5  # worse copies are left out of the plot
CPU_MS, RATE = "cpu_ms_{}_frames", "rate_{}_frames_relative_to_originals"
EPOCHS = (1, 10, 100)
TOTAL = "cpu_seconds_{}_epochs"
TEMPLATE, JPEG_FPS = "{:05d}.jpg", 10
METHOD = {
    "cpu_ms": "CPU time to decode the drawn frames of a clip, mean of all clips and draws in a round; median and "
    "quartiles over the rounds",
    "cpu_seconds_n_epochs": "to make a clip, and to decode 8 frames of it n times",
    "psnr_db": "of random frames of each copy against the original's, scaled by Pillow (bicubic), RGB",
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
    print_figures(figures, ("variant", *sizes, *sampled, *map(TOTAL.format, EPOCHS)))
    settings = {name: vars(options) for name, options in COPIES.items()}
    method = METHOD | values_of(args, ("rounds", "draws", "seed")) | {"settings": settings}
    write_results(args.output, "copies", method | {"num_clips": len(videos)}, figures, start)
    panels = {
        f"CPU seconds a clip: make it, decode {SEGMENTS[0]} frames {count} times": [
            Point(
                figure["variant"], figure["bytes_relative"], figure[TOTAL.format(count)], "profile" in figure["variant"]
            )
            for figure in figures[1:]
            if figure["psnr_db"] is None or figure["psnr_db"] >= GOOD_DB
        ]
        for count in EPOCHS
    }
    plot_points(args.output, panels, title="Training copies: bytes and CPU time", along="bytes, the originals = 1")


def _arguments() -> argparse.Namespace:
    command = benchmark_parser("loading.copies", __doc__, rounds=5, workers=2, draws=3)
    add_clip_arguments(command)
    add_seed(command)
    return command.parse_args()


ORIGINALS, JPEGS = "videos as they are", "JPEG frames, 10 fps, height 256"


def _materials(videos: Sequence[Path], folder: Path, workers: int) -> tuple[dict[str, Material], dict[str, float]]:
    """The clips in every variant; CPU seconds to make each copy, mean of the clips."""
    materials = {ORIGINALS: Material(videos, decode_frames, [probe(video).frames for video in videos])}
    seconds = []
    jpegs = [folder / "jpeg" / str(number) for number in range(len(videos))]
    for video, target in zip(tqdm(videos, desc="JPEG frames", unit="clip"), jpegs, strict=True):
        target.parent.mkdir(exist_ok=True)
        start = _cpu_seconds()
        extract_frames(video.absolute(), target, JPEG_FPS, TEMPLATE)
        seconds.append(_cpu_seconds() - start)
    seconds_to_make = {JPEGS: float(np.mean(seconds))}
    materials[JPEGS] = Material(jpegs, _decode_jpegs, [sum(1 for _ in target.iterdir()) for target in jpegs])
    for number, (name, options) in enumerate(tqdm(COPIES.items(), desc="copies", unit="setting")):
        targets = [folder / str(number) / f"{i}.mp4" for i in range(len(videos))]
        jobs = zip(videos, targets, [options] * len(videos), strict=True)
        seconds_to_make[name] = float(np.mean(list(in_processes(_timed_copy, jobs, workers))))
        materials[name] = Material(targets, decode_frames, [probe(target).frames for target in targets])
    return materials, seconds_to_make


def _timed_copy(video: Path, target: Path, options: CopyOptions) -> float:
    start = _cpu_seconds()
    write_copy(video, target, options)
    return _cpu_seconds() - start


def _cpu_seconds() -> float:
    """CPU time of this process and of the programs that it has run."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def _decode_jpegs(folder: Path, frames: Sequence[int]) -> list[np.ndarray]:
    """As the loader does: whole files, checked, and decoded by DALI."""
    data, ends = read_frames(folder, TEMPLATE, frames, _size_of_jpegs(folder))
    decoder = _jpeg_decoder()
    decoder.feed_input("files", np.split(data, ends[:-1]))
    (images,) = decoder.run()
    return [np.asarray(image) for image in images]  # type: ignore[union-attr]  # on the CPU


@cache
def _size_of_jpegs(folder: Path) -> tuple[int, int]:
    return check_jpeg((folder / TEMPLATE.format(1)).read_bytes())


@cache
def _jpeg_decoder() -> Pipeline:
    decoder = Pipeline(batch_size=max(SEGMENTS), num_threads=1, device_id=None, prefetch_queue_depth=1)
    with decoder:
        files = fn.external_source(name="files")
        decoder.set_outputs(fn.decoders.image(files, device="cpu", output_type=DALIImageType.RGB))
    return decoder


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
    figure: dict[str, Any] = {
        "variant": name,
        "bytes_relative": round(size / size_of(originals.paths)[0], 4),
        "kilobytes_per_clip": round(size / number / 1000, 1),
        "files_per_clip": files / number,
        "psnr_db": round(float(np.mean(list(map(_psnr, material.paths, originals.paths)))), 2)
        if name in COPIES
        else None,
        "cpu_seconds_to_make": round(seconds[name], 3) if name in seconds else None,
    }
    for count in SEGMENTS:
        figure |= {
            CPU_MS.format(count): quartiles(times[name, count]),
            RATE.format(count): ratios(times[ORIGINALS, count], times[name, count]),
        }
    read = figure[CPU_MS.format(SEGMENTS[0])]["median"] / 1000
    figure |= {TOTAL.format(count): round(seconds.get(name, 0.0) + count * read, 3) for count in EPOCHS}
    return figure


def _psnr(copy: Path, original: Path) -> float:
    moments, times = _times(copy), _times(original)
    frames = np.sort(np.random.default_rng(0).permutation(len(moments))[:PSNR_FRAMES])
    found = decode_frames(copy, frames.tolist()).astype(np.float32)
    size = found.shape[2], found.shape[1]
    nearest = np.abs(times[:, None] - moments[frames]).argmin(axis=0)
    originals = [Image.fromarray(frame) for frame in decode_frames(original, nearest.tolist())]
    expected = np.stack([np.asarray(image.resize(size, Image.Resampling.BICUBIC), np.float32) for image in originals])
    return float(10 * np.log10(255**2 / np.mean((found - expected) ** 2)))


@cache
def _times(path: Path) -> np.ndarray:
    """When each frame is shown, in seconds after the first one."""
    with VideoReader(path) as video:
        pts = [frame.pts or 0 for frame in video.all_frames()]
        return float(video.tick) * (np.array(pts) - pts[0])


if __name__ == "__main__":
    main()
