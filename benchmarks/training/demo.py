"""Train the example with many seeds, thread counts and number formats: does it learn every time, and from both cues?

Each training is the command of `make demo`. Without the temporal shift, or without the audio, one cue is missing and
half of the classes cannot be told apart. A small vision transformer in place of the ResNet takes more epochs. Trainings
run side by side, as many as have a core for each of their threads.

example:
  python -m benchmarks.training.demo --seeds 0 1 --cue_seeds 0 --masked_seeds 0
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.harness.arguments import benchmark_parser
from benchmarks.harness.plots import Bar, Panel, plot_bars
from benchmarks.harness.results import origin, print_table, write_results
from pipelines.files.words import counted
from tools.demo import LEARNT, accuracies
from tsam_dali.cli.common import add_config_arguments, config_arguments, friendly_errors
from tsam_dali.cli.example import ensure_example, ensure_example_audio
from tsam_dali.config import load_config
from tsam_dali.model.precision import cpu_computes_in

WHOLE = "shift and audio"
CUES: dict[str, list[str]] = {
    WHOLE: [],
    "without the shift": ["shift_temporal.status=false"],
    "without the audio": ["model.audio_segments=0"],
}
TRANSFORMER = [
    *("model.arch=test_vit", "shift_temporal.tokens=all", "model.dropout=0.1", "training_param.epochs=40"),
    *("optimizer_param.lr=2e-3", "optimizer_param.warmup_epochs=4", "optimizer_param.decay_norm_bias=false"),
]
"""Settings with which timm's smallest vision transformer learns: 16 patches a frame, whose tokens are all shifted."""
TRANSFORMERS = {f"transformer, {cue}": [*TRANSFORMER, *changes] for cue, changes in CUES.items()}
VARIANTS = CUES | TRANSFORMERS
MASKED = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
"""Keeps PyTorch and oneDNN to AVX2 on a CPU that has more."""
METHOD = {
    "accuracy": "of the validation clips (0..1) after the last epoch; chance is 0.25",
    "accuracies": "the same after each epoch",
    "seconds": "wall time of the training command, with its start; those of one thread run side by side on all cores",
    "instructions": "largest instruction set that PyTorch used",
    "amp": "training_param.amp; bf16 where the CPU has instructions for it",
    "learnt": f"accuracy of at least {LEARNT}",
}


class Training(NamedTuple):
    """One training of the example."""

    variant: str
    seed: int
    threads: int
    amp: str
    masked: bool = False


@friendly_errors
def main() -> None:
    args = _arguments()
    config, start = load_config(args.data, args.config, args.set), origin()
    ensure_example(config.dataset)
    ensure_example_audio(config.dataset, config_arguments(args))
    figures: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as results:
        for threads, trainings in _by_threads(_trainings(args)).items():
            with ThreadPoolExecutor(max(1, len(os.sched_getaffinity(0)) // threads)) as pool:
                for figure in pool.map(partial(_train, config_arguments(args), results), trainings):
                    print(" ".join(f"{key}={figure[key]}" for key in (*Training._fields[:4], "accuracy")), flush=True)
                    figures.append(figure)
                    method = METHOD | {"epochs": config.training_param.epochs, "arch": config.model.arch}
                    method |= {"transformer": TRANSFORMER}
                    write_results(args.output, "demo", method, figures, start)
    groups = _grouped(figures)
    _print(groups)
    _plot(groups, args.output)


def _arguments() -> argparse.Namespace:
    command = benchmark_parser("training.demo", __doc__)
    for name, default, what in (
        ("--seeds", list(range(10)), "of the demo as it is (default: 0 to 9)"),
        ("--cue_seeds", [0, 1, 2], "of trainings without one cue (default: 0 1 2)"),
        ("--masked_seeds", [0, 1, 2], "with no more than AVX2 (default: 0 1 2)"),
        ("--transformer_seeds", [0, 1, 2], "of the transformer, with and without each cue (default: 0 1 2)"),
    ):
        command.add_argument(name, type=int, nargs="*", metavar="N", default=default, help=f"seeds {what}")
    add_config_arguments(command)
    return command.parse_args()


def _trainings(args: argparse.Namespace) -> list[Training]:
    found = [Training(WHOLE, seed, threads, "off") for threads in (1, 2) for seed in args.seeds]
    if cpu_computes_in("bf16"):
        found += [Training(WHOLE, seed, 2, "bf16") for seed in args.seeds]
    found += [Training(WHOLE, seed, 2, "off", masked=True) for seed in args.masked_seeds]
    cues = [variant for variant in CUES if variant != WHOLE]
    found += [Training(variant, seed, 2, "off") for variant in cues for seed in args.cue_seeds]
    return found + [Training(variant, seed, 1, "off") for variant in TRANSFORMERS for seed in args.transformer_seeds]


def _by_threads(trainings: Iterable[Training]) -> dict[int, list[Training]]:
    found: dict[int, list[Training]] = {}
    for training in trainings:
        found.setdefault(training.threads, []).append(training)
    return found


def _train(arguments: Sequence[str], results: str, training: Training) -> dict[str, Any]:
    """Run the training as a command of its own, in the folder `results` -> its figure."""
    run_id = "_".join(str(part).replace(" ", "_") for part in training)
    own = (f"training_param.seed={training.seed}", f"training_param.amp={training.amp}", f"results_folder={results}")
    environment = os.environ | {"OMP_NUM_THREADS": str(training.threads)} | (MASKED if training.masked else {})
    settings = [*_words(VARIANTS[training.variant]), *arguments, *_words(own)]  # those of the command come after
    command = [sys.executable, "-m", "tsam_dali.train", *settings, "--run_id", run_id]
    begin = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - begin
    if done.returncode:
        raise ValueError(f"{training} failed: {done.stderr[-2000:]}")
    history = accuracies(Path(results, run_id))
    used = json.loads(Path(results, run_id, "args.json").read_text())
    return training._asdict() | {
        "instructions": used["hardware"]["instructions_used"]["torch"],
        "accuracy": history[-1],
        "seconds": round(seconds, 1),
        "accuracies": history,
    }


def _words(settings: Iterable[str]) -> list[str]:
    return [word for setting in settings for word in ("--set", setting)]


def _grouped(figures: Sequence[Mapping[str, Any]]) -> dict[tuple[Any, ...], list[Mapping[str, Any]]]:
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for figure in figures:
        manner = tuple(figure[key] for key in ("variant", "amp", "instructions", "threads"))
        groups.setdefault(manner, []).append(figure)
    return groups


def _print(groups: Mapping[tuple[Any, ...], Sequence[Mapping[str, Any]]]) -> None:
    rows = []
    for key, figures in groups.items():
        scores = [figure["accuracy"] for figure in figures]
        seconds = statistics.median(figure["seconds"] for figure in figures)
        rows.append((*key, len(scores), f"{min(scores):.1%}", f"{statistics.median(scores):.1%}", seconds))
    print_table(("variant", "amp", "instructions", "threads", "trainings", "worst", "median", "seconds"), rows)


def _plot(groups: Mapping[tuple[Any, ...], Sequence[Mapping[str, Any]]], path: Path) -> None:
    bars = []
    for (variant, amp, instructions, threads), figures in groups.items():
        scores = sorted(100 * figure["accuracy"] for figure in figures)
        number_format = "float32" if amp == "off" else amp
        label = f"{variant}, {number_format}, {instructions}, {counted(threads, 'thread')}"
        bars.append(Bar(label, statistics.median(scores), scores[0], scores[-1], ours=variant == WHOLE))
    plot_bars(path, [Panel("%: median and range", bars)], title="The demo: accuracy on validation clips")


if __name__ == "__main__":
    main()
