"""What has to be done to a data set before training can read it: time, bytes, files."""

import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness.linked_dataset import size_of
from benchmarks.harness.results import FOLDER

ROOT = FOLDER.parent.parent
_LOAD_CLIPS = (
    "import sys; from pipelines.dataset.load import load_clips; from tsam_dali.config import load_config; "
    "load_clips(load_config(sys.argv[1], sys.argv[1], ['model.audio_segments=0']))"
)


def extract(data: Path, workers: int, *options: str) -> list[str]:
    """The command that extracts JPEG frames, or with --audio .wav files."""
    return ["tools/video2frames.py", "--data", str(data), "--workers", str(workers), *options]


def index(data: Path) -> list[str]:
    """The command that reads the headers of all videos."""
    return ["-c", _LOAD_CLIPS, str(data)]


def copy(data: Path, workers: int, folder: str) -> list[str]:
    """The command that makes training copies."""
    return ["tools/make_training_copies.py", "--data", str(data), "--workers", str(workers), "--folder", folder]


def precompute(data: Path, config: Path, workers: int, overrides: Sequence[str] = ()) -> list[str]:
    """The command that makes the log-mel store."""
    options = {"--data": data, "--config": config, "--workers": workers}
    words = [str(word) for option in options.items() for word in option]
    return ["tools/precompute_audio.py", *words, *(word for change in overrides for word in ("--set", change))]


def size_figure(what: str, paths: Sequence[Path], num_clips: int) -> dict[str, Any]:
    """How much room something takes."""
    size, files = size_of(paths)
    return {
        "kind": "preparation",
        "what": what,
        "num_clips": num_clips,
        "kilobytes_per_clip": round(size / num_clips / 1000, 1),
        "files_per_clip": round(files / num_clips, 2),
    }


def timed_figure(what: str, result: Path, num_clips: int, command: Sequence[str]) -> dict[str, Any]:
    """Carry out a step of the preparation; what it takes, and how much room its result does."""
    seconds, cpu = run(command)
    idle_seconds, idle_cpu = run(command)  # nothing is left to do: the start of the program
    return size_figure(what, [result], num_clips) | {
        "seconds_per_clip": round((seconds - idle_seconds) / num_clips, 4),
        "cpu_seconds_per_clip": round((cpu - idle_cpu) / num_clips, 4),
        "seconds_to_start": round(idle_seconds, 2),
    }


def run(command: Sequence[str]) -> tuple[float, float]:
    """Run `python ...`; wall seconds, and CPU seconds with those of its child processes."""
    wall, cpu = time.perf_counter(), _cpu_of_children()
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{done.stderr}")
    return time.perf_counter() - wall, _cpu_of_children() - cpu


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
