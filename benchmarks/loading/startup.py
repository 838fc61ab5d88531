"""How long a training takes to start, and to plan its epochs, with lists of up to a million clips.

A synthetic data set per size: lists, an index that knows all files, and as many names of one small video (hard links).
For each size a fresh process reads the settings, finds the clips, imports the program, and reads the first batch; then
it orders an epoch, and asks for the places of its last batch. What it takes to make the data set does not count.

example:
  python -m benchmarks.loading.startup --sizes 1000 10000 --output results/bench/startup.json
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np

from benchmarks.harness.arguments import benchmark_parser
from benchmarks.harness.measure import quartiles
from benchmarks.harness.plots import INK, OTHERS, OURS, Line, plot_lines
from benchmarks.harness.preparation import ROOT
from benchmarks.harness.results import origin, print_figures, write_results
from pipelines.dataset.video_index import VERSION
from pipelines.decode.probe import probe_video
from tsam_dali.cli.common import friendly_errors

LIMIT = {"clips": 1_000_000, "seconds": 40}
NAMES_OF_A_FILE = 50_000  # some file systems allow 65 000
FOLDERS = 400  # classes, each with a folder: as Kinetics-400 lies
STAGES = ("checks", "settings", "data", "import", "first batch", "epoch order", "last batch")
METHOD = {
    "checks": "s, the modules that check arguments, settings and data",
    "settings": "s, both JSON files",
    "data": "s, both lists, all folders, the index; what a training checks before it starts",
    "import": "s, all other modules of the trainer: PyTorch, DALI, timm, ...",
    "first batch": "s, workers start and decode; eight frames of one small video, without audio",
    "epoch order": "s, the permutation of one epoch",
    "last batch": "s, which clips the last batch of that epoch holds, and their frames and crops",
    "start": "s, the first five together",
    "peak": "MB (10^6 bytes), the largest resident memory of the training's process (ru_maxrss)",
}


@friendly_errors
def main() -> None:
    sizes = [1_000, 10_000, 100_000, 1_000_000]
    args = benchmark_parser("loading.startup", __doc__, sizes=sizes, rounds=3, workers=2).parse_args()
    start = origin()
    figures: list[dict[str, Any]] = []
    for size in args.sizes:
        with tempfile.TemporaryDirectory(prefix="startup_benchmark_") as folder:
            data = make_data(Path(folder), size)
            rounds = [one_start(data, args.workers) for _ in range(args.rounds)]
        figures.append({"clips": size} | {name: quartiles([each[name] for each in rounds]) for name in rounds[0]})
    print_figures(figures, list(figures[0]))
    for entry in figures:
        if entry["clips"] == LIMIT["clips"]:
            seconds = entry["start"]["median"]
            verdict = "within" if seconds <= LIMIT["seconds"] else "ABOVE"
            print(f"start with {entry['clips']} clips: {seconds:.1f} s, {verdict} the limit of {LIMIT['seconds']} s")
    method = METHOD | {"limit": LIMIT, "rounds": args.rounds, "workers": args.workers, "folders": FOLDERS}
    write_results(args.output, "startup", method, figures, start)
    plot(figures, args.output)


def make_data(folder: Path, size: int) -> Path:
    """A data set whose clips are names of one video, one of ten in the validation list; its data file."""
    videos, video = folder / "videos", write_small_video(folder / "video.mp4")
    validation = max(size // 10, 1)
    classes = min(FOLDERS, size - validation)
    for number in range(classes):
        (videos / f"class{number:03}").mkdir(parents=True)
    ids = [f"class{i % classes:03}/clip_{i:07}_000010_000020" for i in range(size)]
    modified = video.stat().st_mtime_ns
    known = {"size": video.stat().st_size, "mtime_ns": modified, "version": VERSION, "checked": "demuxed"}
    known |= probe_video(video)
    with (folder / "index.jsonl").open("w") as index:
        for i, clip_id in enumerate(ids):
            if i and i % NAMES_OF_A_FILE == 0:
                video = Path(shutil.copy2(video, folder / f"video{i}.mp4"))
            os.link(video, videos / f"{clip_id}.mp4")
            index.write(json.dumps({"id": clip_id, "file": f"videos/{clip_id}.mp4"} | known) + "\n")
    lines = [f"{clip_id} {i % classes}\n" for i, clip_id in enumerate(ids)]
    (folder / "training.txt").write_text("".join(lines[:-validation]))
    (folder / "validation.txt").write_text("".join(lines[-validation:]))
    data = folder / "data.json"
    data.write_text(json.dumps({"dataset": {"data_dir": str(folder)}}))
    return data


def write_small_video(path: Path) -> Path:
    """A second of H.264, 128 x 96 pixels."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for value in range(25):
            frame = av.VideoFrame.from_ndarray(np.full((96, 128, 3), 8 * value, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def one_start(data: Path, workers: int) -> dict[str, float]:
    """Seconds of each stage, and the peak of memory, of one fresh process."""
    command = [sys.executable, "-m", "benchmarks.loading.startup_once", str(data), str(workers)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    stages = dict(zip(STAGES, found["seconds"], strict=True))
    return stages | {"start": sum(found["seconds"][:5]), "peak": found["peak"]}


def plot(figures: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw start, epoch planning and memory against the number of clips as a PNG."""
    stages = {
        "Start, to the first batch, s": ("start", "data", "first batch"),
        "Planning an epoch, s": ("epoch order", "last batch"),
        "Memory of the training's process, MB": ("peak",),
    }
    clips = [entry["clips"] for entry in figures]
    panels = {
        title: [
            Line("lists, folders, index" if name == "data" else name, clips, medians(figures, name), color, "o-")
            for name, color in zip(names, (OURS, INK, OTHERS), strict=False)
        ]
        for title, names in stages.items()
    }
    plot_lines(path, panels, title="Starting a training with long lists", along="clips in the lists", log=True)


def medians(figures: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    return [entry[name]["median"] for entry in figures]


if __name__ == "__main__":
    main()
