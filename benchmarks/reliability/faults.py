"""Damage and kill on purpose, and count what is lost: runs killed and stopped, checkpoints and videos damaged.

Each kind of fault happens many times, at moments and places drawn from a fixed seed. The expected figures stand beside
the found ones, and a difference ends the command with status 1.

examples:
  python -m benchmarks.reliability.faults
  python -m benchmarks.reliability.faults --short --output results/faults.json
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.harness.arguments import benchmark_parser
from benchmarks.harness.results import origin, print_table, write_results
from benchmarks.reliability.broken_data import broken_files
from benchmarks.reliability.damaged_files import damaged_checkpoints, mutated_videos
from benchmarks.reliability.killed_runs import STOPS, Runs, kill, stop
from benchmarks.reliability.process_monitor import runs
from tsam_dali.cli.common import friendly_errors
from tsam_dali.runs.signals import EXIT_CODE
from tsam_dali.weights.checkpoint import CheckpointError

COUNTS = {"kills": 20, "SIGTERM": 12, "SIGUSR1": 3, "broken": 3, "checkpoints": 400, "videos": 2000}
SHORT = {"kills": 1, "SIGTERM": 4, "SIGUSR1": 0, "broken": 0, "checkpoints": 40, "videos": 60}
METHOD = {
    "kills": "SIGKILL to the trainer, every fifth time to one of two ranks, up to 0.3 s after a random step; then "
    "--resume auto to the end",
    "SIGTERM": "to the trainer, the last four times to torchrun with two ranks; in start-up, training, validation and "
    "saving by turns, where the trainer waits for it; nothing else saves inside an epoch; then as above",
    "SIGUSR1": "as SIGTERM, to the trainer",
    "steps_lost": "steps in metrics.jsonl that are not in the newest checkpoint",
    "broken": "2 of 200 training files broken, one so that only decoding shows it (the files are those of 24 clips, "
    "several times): weights equal to those of training on the other 198, up to rounding (a relative difference of "
    "1e-5); one batch holds all clips, BatchNorm has fixed statistics",
    "identical": "weights, averages, momentum and validation scores equal to those of an undisturbed run, bit for bit",
    "checkpoints": "a flipped bit or a cut at a random place, by turns",
    "videos": "damage of seven kinds to H.264, HEVC and VP9, in limited processes; four frames of each are decoded as "
    "for training, then the whole file strictly, as by index_videos --decode",
    "flagged": "one of the two reported the damage",
    "flagged late": "the four frames are wrong, which only the strict decode of the whole file reported",
    "right frames": "neither did, and all frames are those of the undamaged file",
    "unseen": "neither did, frames are wrong, and a decode with all checks of FFmpeg finds no error either: damage "
    "inside entropy-coded data, which has no checksum",
    "wrong frames": "as unseen, but the decode with all checks does find an error",
    "processes_left": "of the trainer's process tree, 5 s after its end",
    "shared_memory_left": "new names in /dev/shm at the end that hold no running process's number",
}


@friendly_errors
def main() -> None:
    args = _arguments()
    counts, start, shared_before = SHORT if args.short else COUNTS, origin(), set(os.listdir("/dev/shm"))
    with tempfile.TemporaryDirectory(prefix="faults_", dir=args.folder) as folder:
        figures = measure(Path(folder), counts, args.workers)
    left = [name for name in sorted(set(os.listdir("/dev/shm")) - shared_before) if not _in_use(name)]
    figures.append({"kind": "leftovers", "shared_memory_left": left})
    checks = list(judge(figures, counts))
    print_table(("what", "expected", "found"), checks)
    for figure in figures:
        if "error" in figure:
            print(f"{figure['kind']}: {figure['error']}")
    write_results(args.output, "faults", METHOD | counts, figures, start)
    if any(expected != found for _, expected, found in checks):
        sys.exit(1)


def _in_use(name: str) -> bool:
    """Whether the process whose number a name holds still runs; joblib names its files so."""
    return any(runs(int(number)) for number in re.findall(r"[-_](\d+)[-_]", name))


def _arguments() -> argparse.Namespace:
    command = benchmark_parser("reliability.faults", __doc__, workers=2)
    add = command.add_argument
    add("--short", action="store_true", help="few faults of each kind, for a quick look")
    add("--folder", help="where data and runs lie for as long as it takes (default: the system's)")
    return command.parse_args()


def measure(folder: Path, counts: dict[str, int], workers: int) -> list[dict[str, Any]]:
    """Figures of all faults, a record for each run and one for each kind of file."""
    (folder / "videos").mkdir()
    figures = [{"kind": "videos", **mutated_videos(folder / "videos", counts["videos"], workers)}]
    given = Runs(folder)
    given.whole()
    figures.append(
        {"kind": "checkpoints"}
        | damaged_checkpoints((folder / "whole_1/checkpoints/latest").resolve(), counts["checkpoints"])
    )
    stops = {sent: partial(stop, given, sent) for sent in STOPS}
    acts = {"kills": partial(kill, given), **stops, "broken": partial(broken_files, given)}
    for kind, act in acts.items():
        for number in tqdm(range(counts[kind]), desc=kind, unit="run"):
            figures.append({"kind": kind, **_found(act, number)})
    return figures


def _found(act: Callable[[int], dict[str, Any]], number: int) -> dict[str, Any]:
    """A run that fails is a finding, too; the others go on."""
    try:
        return act(number)
    except (RuntimeError, subprocess.TimeoutExpired, CheckpointError, OSError) as error:
        return {"error": str(error)}


def judge(figures: Sequence[dict[str, Any]], counts: dict[str, int]) -> list[tuple[str, int, int]]:
    """(what, how much of it is expected, how much was found)."""
    of = {kind: [figure for figure in figures if figure["kind"] == kind] for kind in (*counts, "leftovers")}
    (videos,), (checkpoints,) = of["videos"], of["checkpoints"]
    stops, asked = [run for sent in STOPS for run in of[sent]], sum(counts[sent] for sent in STOPS)
    return [
        ("kills that end bit-identical", counts["kills"], _count("identical", of["kills"])),
        ("kills that lose more than since the last checkpoint", 0, sum(_lost_more(run) for run in of["kills"])),
        ("stops in the phase that they are meant for", asked, _count("in_phase", stops)),
        ("stops that end bit-identical", asked, _count("identical", stops)),
        ("steps lost by stops", 0, _count("steps_lost", stops)),
        ("stops that say so", asked, sum(_says_so(run) for run in stops)),
        ("runs with broken files that equal those without", counts["broken"], _count("same", of["broken"])),
        ("processes left", 0, _count("processes_left", [*of["kills"], *stops])),
        ("damaged checkpoints detected", counts["checkpoints"], checkpoints["detected"]),
        ("videos that crash a decoder", 0, videos.get("crashed", 0) + videos.get("failed", 0)),
        ("videos that hang or fill the memory", 0, videos.get("timeout", 0) + videos.get("out_of_memory", 0)),
        ("videos with wrong frames that only FFmpeg's strictest decode finds", 0, videos.get("wrong frames", 0)),
        ("names left in shared memory", 0, len(of["leftovers"][0]["shared_memory_left"])),
    ]


def _count(name: str, found: Sequence[dict[str, Any]]) -> int:
    """The sum over the runs; one that failed has no figures."""
    return sum(run.get(name, 0) for run in found)


def _lost_more(run: dict[str, Any]) -> bool:
    return run.get("steps_lost", 0) > run.get("most_lost", 0)


def _says_so(run: dict[str, Any]) -> bool:
    """By the exit code, but that of torchrun is its own; and by status.json."""
    return run.get("state") == "preempted" and (run["exit_code"] == EXIT_CODE or run["ranks"] > 1)


if __name__ == "__main__":
    main()
