"""Train for an hour on the example data with 1 % damaged files, killing a decode worker now and then: what grows?

The trainer runs as a user starts it, on a data set of its own that is made first. Once it trains, 1 % of the videos are
damaged: overwritten inside the coded frames, cut short, or removed. This process only watches it from outside, kills a
decode worker every few minutes (the loader then starts all of its workers anew), and ends it by SIGTERM.

example:
  python -m benchmarks.reliability.soak --minutes 60
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness.arguments import benchmark_parser, values_of
from benchmarks.harness.plots import OTHERS, OURS, Line, plot_lines
from benchmarks.harness.preparation import ROOT, run
from benchmarks.harness.results import origin, print_figures, write_results
from benchmarks.reliability.process_monitor import QUANTITIES, ROLES, WARM_UP, Watched, decode_workers, runs
from tsam_dali.cli.common import friendly_errors
from tsam_dali.runs.signals import EXIT_CODE

CONFIG = ROOT / "config" / "example_config.json"
METHOD = {
    "rss": "resident memory, MB (10^6 bytes); pages shared with others included",
    "pss": "the same, each shared page counted by its share",
    "shared memory files": "names in /dev/shm that the process has open or mapped",
    "decode workers": "the largest of them; slope: of all, each against its own mean",
    "slope_per_hour": f"least squares over a process's life after its first {WARM_UP:.0%}",
}


@friendly_errors
def main() -> None:
    args = _arguments()
    start, shared_before = origin(), set(os.listdir("/dev/shm"))
    with tempfile.TemporaryDirectory(prefix="soak_", dir=args.folder) as folder:
        data = _make(Path(folder), args)
        watched = Watched()
        outcome = _train(Path(folder), data, args, watched)
    left = (set(os.listdir("/dev/shm")) - shared_before) & watched.shared_names
    outcome |= {"shared_memory_left": sorted(left), "processes_left": sum(map(runs, watched.lives))}
    figures = [watched.figure(role, quantity) for role in ROLES for quantity in QUANTITIES]
    columns = ("process", "quantity", "first", "last", "highest", "slope_per_hour")
    print_figures(figures, columns)
    print(json.dumps(outcome, indent=4))
    names = ("minutes", "every", "restart_minutes", "training", "validation", "damaged")
    method = METHOD | values_of(args, names)
    write_results(args.output, "soak", method, [{"kind": "run", **outcome}, *figures], start)
    plot(figures, args.output)


def _arguments() -> argparse.Namespace:
    command = benchmark_parser("reliability.soak", __doc__)
    add = command.add_argument
    add("--minutes", type=float, default=60, help="of training (default: %(default)s)")
    add("--every", type=float, default=20, help="seconds from one look to the next (default: %(default)s)")
    add("--restart_minutes", type=float, default=6, help="from one killed worker to the next (default: %(default)s)")
    add("--training", type=int, default=320, help="training clips (default: %(default)s)")
    add("--validation", type=int, default=96, help="validation clips (default: %(default)s)")
    add("--damaged", type=float, default=0.01, help="part of the files that is damaged (default: %(default)s)")
    add("--folder", help="where the data and the run lie for as long as it takes (default: the system's)")
    add("--set", metavar="KEY=VALUE", action="append", default=[], help="setting of the run, as for the trainer")
    args = command.parse_args()
    if min(args.minutes, args.every, args.restart_minutes, args.training, args.validation) <= 0:
        command.error("expected numbers above 0")
    return args


def _make(folder: Path, args: argparse.Namespace) -> Path:
    """Make videos and audio; the path of the data file."""
    sizes = ["--training", str(args.training), "--validation", str(args.validation)]
    run(["tools/make_example.py", str(folder / "data"), *sizes])
    data = folder / "data" / "data.json"
    run(["tools/precompute_audio.py", "--data", str(data), "--config", str(CONFIG)])
    return data


def damage_videos(data: Path, part: float) -> list[str]:
    """Damage `part` of the videos of each list, at least one; what was done to which file."""
    done = []
    ways: Iterator[tuple[str, Callable[[Path], None]]] = cycle(
        [("overwritten", _overwrite), ("cut short", _cut), ("removed", os.remove)]
    )
    for split in ("training", "validation"):
        videos = sorted((data.parent / "videos").glob(f"{split}_*.mp4"))
        for path in videos[:: len(videos) // max(1, round(part * len(videos)))][: max(1, round(part * len(videos)))]:
            name, damage = next(ways)
            damage(path)
            done.append(f"{path.name} {name}")
    return done


def _overwrite(path: Path) -> None:
    """Noise over the middle half of a file: its tables, at the ends, stay whole."""
    content = bytearray(path.read_bytes())
    quarter = len(content) // 4
    content[quarter : 3 * quarter] = np.random.default_rng(0).bytes(2 * quarter)
    path.write_bytes(content)


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _train(folder: Path, data: Path, args: argparse.Namespace, watched: Watched) -> dict[str, Any]:
    """Train for as long as asked, watching; what became of the run."""
    settings = [
        "training_param.epochs=100000",
        "pipeline.max_bad_fraction=0.05",
        f"results_folder={folder / 'results'}",
    ]
    words = ["--data", str(data), "--config", str(CONFIG), "--run_id", "soak"]
    words += [word for setting in [*settings, *args.set] for word in ("--set", setting)]
    log = folder / "log.txt"
    with log.open("w") as file:
        trainer = subprocess.Popen(
            [sys.executable, "-m", "tsam_dali.train", *words], cwd=ROOT, stdout=file, stderr=file
        )
    try:
        _wait_for_steps(folder / "results" / "soak" / "status.json", trainer, log)
        damaged = damage_videos(data, args.damaged)
        killed = _watch(trainer, args, watched)
    finally:
        trainer.send_signal(signal.SIGTERM)
        code = trainer.wait(timeout=300)
    status = json.loads((folder / "results" / "soak" / "status.json").read_text())
    text = log.read_text()
    if code != EXIT_CODE:
        print(f"the trainer ended by itself; the end of what it said:\n{text[-3000:]}", file=sys.stderr)
    return {
        "exit_code": code,
        "expected_exit_code": EXIT_CODE,
        "state": status["state"],
        "steps": status["step"],
        "epochs": (folder / "results" / "soak" / "metrics.jsonl").read_text().count('"kind": "epoch"'),
        "damaged": damaged,
        "clips_left_out": sorted(set(re.findall(r"clip (\S+) is left out \(black", text))),
        "workers_killed": killed,
        "pipelines_started_again": text.count("is started again"),
    }


def _wait_for_steps(status: Path, trainer: subprocess.Popen, log: Path) -> None:
    while not status.exists():
        if trainer.poll() is not None:
            raise RuntimeError(f"the trainer ended by itself:\n{log.read_text()}")
        time.sleep(0.5)


def _watch(trainer: subprocess.Popen, args: argparse.Namespace, watched: Watched) -> int:
    """Look at the trainer and its workers until the time is over; how many workers were killed."""
    start = time.monotonic()
    next_look, next_kill, killed = start, start + 60 * args.restart_minutes, 0
    while (now := time.monotonic()) < start + 60 * args.minutes and trainer.poll() is None:
        if now >= next_kill and (workers := decode_workers(trainer.pid)):
            os.kill(min(workers), signal.SIGKILL)  # the oldest: training's and validation's by turns
            next_kill, killed = next_kill + 60 * args.restart_minutes, killed + 1
        if now >= next_look:
            watched.look(trainer.pid, (now - start) / 60)
            next_look += args.every
        time.sleep(0.2)
    return killed


def plot(figures: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw what trainer and decode workers held over the time as a PNG."""
    units = {"resident MB": "rss", "MB, shared pages by share": "pss", "open files": "open files"}
    panels = {
        title: [
            Line(found["process"], found["minutes"], found["values"], OURS if found["process"] == ROLES[0] else OTHERS)
            for found in figures
            if found["quantity"] == quantity
        ]
        for title, quantity in units.items()
    }
    plot_lines(path, panels, title="Training on the example data with damaged files", along="minutes")


if __name__ == "__main__":
    main()
