"""How fast each way to decode feeds a GPU, and how long training waits for data: `cpu`, `gpu`, `gpu_whole`, nvJPEG.

The loader alone reads training copies, JPEG frames and, on the CPU, the videos as they are: the sizes of most of them
do not belong on NVDEC (docs/gpu.md). ResNet-50 is trained on the copies, decoded in the way that was fastest. There is
no audio. The file is written anew after each figure. On a CPU there is only the way `cpu`.

example:
  python -m benchmarks.loading.feeding --data my_data/videos --threads 16
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.harness.arguments import add_arch, add_device, benchmark_parser, values_of
from benchmarks.harness.clips import add_clip_arguments, all_clips
from benchmarks.harness.gpu_use import gpu_use
from benchmarks.harness.linked_dataset import Repeated
from benchmarks.harness.material import overrides
from benchmarks.harness.measure import Variant, VariantError, running
from benchmarks.harness.preparation import copy, extract, run
from benchmarks.harness.results import FigureFile, origin
from benchmarks.loading.feeding_variants import BATCHES, SECONDS, Loading
from benchmarks.training.trainer import Network
from tsam_dali.cli.common import friendly_errors

COPIES, VIDEOS, JPEGS = "training copies", "videos as they are", "JPEG frames"
SOURCES = {COPIES: ["dataset.dir_videos=copies"], VIDEOS: [], JPEGS: ["pipeline.source=frames"]}
DECODERS = {"cpu": ["cpu"], "cuda": ["cpu", "gpu", "gpu_whole"]}
LIMIT = 60.0
"""Seconds that a process has for an answer."""
METHOD = {
    "clips_per_second": f"of the loader alone from its second batch on: {BATCHES} batches, or {SECONDS:g} s",
    "threads": "decode processes, and threads of DALI",
    "gpu_use, decoder_use, jpeg_use": "percent, as nvidia-smi tells it",
    "training": "the trainer's own loop on the copies, decoded in the way that was fastest; not compiled",
    "data_wait": "share of the time in which that loop waited for a batch",
    "limit": f"a way that gives no answer in {LIMIT:g} s has failed",
}


@friendly_errors
def main() -> None:
    args = _arguments()
    sizes = values_of(args, ("device", "arch", "batch_size", "segments", "threads", "steps"))
    figures = FigureFile(args.output, "feeding", METHOD | sizes, origin())
    with tempfile.TemporaryDirectory(prefix="feeding_benchmark_") as folder:
        start = time.perf_counter()
        data = prepare(Path(folder), all_clips(args), args.batch_size)
        figures.add({"kind": "preparation", "seconds": time.perf_counter() - start})
        for figure in measure(data, args):
            figures.add(figure)
    sys.exit(figures.verdict())


def _arguments() -> argparse.Namespace:
    command = benchmark_parser("loading.feeding", __doc__, batch_size=64, segments=16, threads=[16, 8], steps=20)
    add_clip_arguments(command)
    add_arch(command, "resnet50")
    add_device(command)
    return command.parse_args()


def prepare(folder: Path, videos: Sequence[Path], batch_size: int) -> Path:
    """A data set with videos, copies and JPEG frames: each clip is prepared once, and listed so often that there are
    more clips than a batch has. The path of its data file."""
    names, cores = [path.stem for path in videos], len(os.sched_getaffinity(0))
    once = Repeated(names, 1)
    prepared = once.make(folder / "once", {"videos": videos})
    run(copy(prepared, cores, "copies"))
    run(extract(prepared, cores))
    ids = [once.ids(name)[0] for name in names]
    copies = [folder / "once" / "copies" / f"{clip_id}.mp4" for clip_id in ids]
    frames = [folder / "once" / "frames" / clip_id for clip_id in ids]
    parts = {"videos": videos, "copies": copies, "frames": frames}
    return Repeated(names, batch_size // len(names) + 2).make(folder / "often", parts)


def measure(data: Path, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The copies in every way, training on them in the fastest, then the rest."""
    settings = {
        "model.arch": args.arch,
        "model.video_segments": args.segments,
        "model.audio_segments": 0,
        "training_param.batch_size": args.batch_size,
        "training_param.compile": "false",
    }
    network = Network(args.arch, 1, args.device, threads=max(1, len(os.sched_getaffinity(0)) // 2))
    make = partial(Loading, data, overrides(settings), network)
    with running(dict.fromkeys(DECODERS[args.device], make), sorted(os.sched_getaffinity(0))) as processes:
        rates = {}
        for way in product([COPIES], processes, args.threads):
            figure = _figure("loader", way, args)
            rates[way] = figure.get("clips_per_second", 0.0)
            yield figure
        yield _figure("training", max(rates, key=lambda way: rates[way]), args)
        nv_jpeg = [process for process in processes if process.name != "gpu_whole"][-1:]
        on_cpu = [process for process in processes if process.name == "cpu"]
        for way in (*product([JPEGS], nv_jpeg, args.threads), *product([VIDEOS], on_cpu, args.threads)):
            yield _figure("loader", way, args)


def _figure(kind: str, way: tuple[str, Variant, int], args: argparse.Namespace) -> dict[str, Any]:
    """What a process measured, or why it could not."""
    source, process, threads = way
    figure: dict[str, Any] = {"kind": kind, "source": source, "decode": process.name, "threads": threads}
    sizes = {"pipeline.decode": process.name, "pipeline.workers": threads, "pipeline.threads": threads}
    options = [*SOURCES[source], *overrides(sizes)]
    try:
        with gpu_use(args.device) as use:
            if kind == "training":
                figure |= process.call("train", options, args.steps, limit=LIMIT)
            else:
                figure |= process.call("read", options, limit=LIMIT)
        return figure | use
    except VariantError as error:
        return figure | {"failed": str(error)}


if __name__ == "__main__":
    main()
