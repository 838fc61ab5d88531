"""What the trainer adds to the bare step of training on batches that are ready, and how long it waits for real ones.

Bare: forward, loss, backward, limit of the gradient, optimizer, as in a loop written for nothing else. Trainer: the
loop of `tsam_dali.train` with all that happens after a step - metrics, checks for numbers that are not finite,
progress, figures into metrics.jsonl and TensorBoard every `log_steps` steps. Both train the same network in one process
and take turns, on a CPU after every step. Then the trainer alone reads the example's videos with audio, decoded on the
same cores. benchmarks/README.md describes the method.

example:
  python -m benchmarks.training.overhead --arch resnet50 --rounds 7
"""

import argparse
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.harness.arguments import add_arch, add_device, benchmark_parser, values_of
from benchmarks.harness.device_time import wait_for
from benchmarks.harness.material import CONFIG, overrides
from benchmarks.harness.measure import quartiles
from benchmarks.harness.plots import plot_figures
from benchmarks.harness.preparation import precompute, run
from benchmarks.harness.processes import choose_cores, pin
from benchmarks.harness.results import origin, print_figures, write_results
from benchmarks.training.trainer import NUM_CLASS, Network, make_train_state, synthetic_batch
from pipelines.loader import Batch, build_loader
from pipelines.parallel.malloc import keep_freed_memory
from tsam_dali.cli.common import friendly_errors
from tsam_dali.config import load_config
from tsam_dali.config.load import Config
from tsam_dali.model.precision import autocast
from tsam_dali.runs.folder import RunFolder
from tsam_dali.runs.run import Run
from tsam_dali.runs.signals import StopRequest
from tsam_dali.runs.step_hook import StepHook
from tsam_dali.training.engine import train_one_epoch
from tsam_dali.training.progress import Batches, Progress
from tsam_dali.training.state import TrainState

TARGET = 0.02  # of the bare step
METHOD = {
    "bare": "forward, loss, backward, limit of the gradient, optimizer, schedule",
    "trainer": "tsam_dali.training.engine.train_one_epoch, tsam_dali.runs.step_hook.StepHook: metrics, "
    "checks, progress, log every round",
    "seconds_per_step": "wall time of a round's steps, by their number",
    "overhead": "trainer by bare of the same round, minus 1",
    "turn": "steps of one loop before the other one goes on; a GPU is waited for in between",
    "cpu_overhead": "the same of the CPU time of all threads, which other programs disturb less",
    "data_wait": "of the trainer on the example's videos, as metrics.jsonl has it, over as many steps as a round has",
    "warm_up": "one uncounted round",
    "target": TARGET,
}


class Times(NamedTuple):
    """Seconds."""

    wall: float
    cpu: float


class Turns:
    """The batches of all rounds for the trainer, with turns of the bare loop in between; both are timed.

    From one batch to the next is a step of the trainer.
    """

    def __init__(self, batch: Batch, args: argparse.Namespace, bare: Callable[[], None]):
        self._batch, self._args, self._bare = batch, args, bare
        self.times: dict[str, list[Times]] = {"bare step": [], "trainer": []}

    def __len__(self) -> int:
        return (self._args.rounds + 1) * self._args.steps + 1  # it is asked once more, after the last step

    def __iter__(self) -> Iterator[Batch]:
        for _ in range((self._args.rounds + 1) * self._args.steps // self._args.turn):
            with self._timed("bare step"):
                self._bare()
            with self._timed("trainer"):
                yield from itertools.repeat(self._batch, self._args.turn)

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        wait_for(self._args.device)
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        wait_for(self._args.device)
        self.times[name].append(Times(time.perf_counter() - wall, time.process_time() - cpu))


@friendly_errors
def main() -> None:
    args = _arguments()
    start = origin()
    pin(choose_cores(args.threads))
    keep_freed_memory()
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory(prefix="overhead_benchmark_") as folder:
        times, wait = measure(settings(args, make_example(args, folder), folder), args)
    figures = [_figure(name, times) for name in times]
    figures[1] |= {"data_wait": wait}
    method = METHOD | values_of(args, (*SIZES, "arch", "device", "turn"))
    _print(figures)
    write_results(args.output, "overhead", method, figures, start)
    panels = {"Wall seconds per step": "seconds_per_step", "CPU seconds per step": "cpu_seconds_per_step"}
    title = f"What the trainer adds to a step of {args.arch}"
    plot_figures(args.output, figures, "loop", panels, ours=lambda loop: loop == "trainer", title=title)


SIZES = {"segments": 8, "batch_size": 4, "pixels": 112, "steps": 10, "rounds": 7, "threads": 2}


def _arguments() -> argparse.Namespace:
    command = benchmark_parser("training.overhead", __doc__, **SIZES)
    add_arch(command, "resnet50")
    add_device(command)
    args = command.parse_args()
    args.turn = 1 if args.device == "cpu" else args.steps
    return args


def make_example(args: argparse.Namespace, folder: str) -> Path:
    """Clips for an epoch of as many steps as a round has and one; the path of their data file."""
    data = Path(folder) / "data" / "data.json"
    run(["tools/make_example.py", str(data.parent), "--training", str((args.steps + 1) * args.batch_size)])
    run(precompute(data, CONFIG, args.threads, frame_sizes(args)))
    return data


def frame_sizes(args: argparse.Namespace) -> list[str]:
    """The settings of frames and log-mel spectrograms."""
    part, side = "data_augmentation", args.pixels
    audio = [f"{part}.audio_image_param.n_mels={side}", f"{part}.audio_image_param.spec_size=[3, {side}, {side}]"]
    return [f"{part}.video_image_param.output_size={side}", *audio]


def settings(args: argparse.Namespace, data: Path, folder: str) -> Config:
    """TSAM's for Kinetics, at the sizes asked for."""
    changes = {
        "model.arch": args.arch,
        "model.video_segments": args.segments,
        "training_param.batch_size": args.batch_size,
        "training_param.log_steps": args.steps,
        "results_folder": folder,
    }
    return load_config(data, CONFIG, [*frame_sizes(args), *overrides(changes)])


def measure(config: Config, args: argparse.Namespace) -> tuple[dict[str, list[Times]], float]:
    """Seconds per step of both loops in each round, and the trainer's share of data wait."""
    train_state = make_train_state(config, Network(args.arch, 1, args.device, args.threads))
    batch = synthetic_batch(config, args.pixels, args.device)
    folder = RunFolder(config, "overhead")
    folder.create(config, None)
    trainer = Run(train_state, folder, {"training": [], "validation": []}, StopRequest(), None)

    turns = Turns(batch, args, lambda: bare_steps(train_state, batch, args.turn))
    with trainer.reported(), build_loader(config, "training", device=args.device) as loader:

        def train(batches: Batches, steps: int | None = None) -> float:
            progress = Progress(batches, "", clips_per_step=args.batch_size, show=False, steps=steps)
            train_one_epoch(train_state, progress, StepHook(trainer, loader, progress, epoch=0))
            return progress.data_wait

        train(turns)
        wait = train(loader, args.steps + 1)
    return {name: _rounds(taken, args)[1:] for name, taken in turns.times.items()}, wait


def _rounds(turns: Sequence[Times], args: argparse.Namespace) -> list[Times]:
    """Seconds per step of each round."""
    chunks = np.array(turns).reshape(-1, args.steps // args.turn, 2)  # (turns, 2) -> (rounds, turns of a round, 2)
    return [Times(*(chunk.sum(0) / args.steps)) for chunk in chunks]


def bare_steps(train_state: TrainState, batch: Batch, steps: int) -> None:
    """So many steps, and nothing else."""
    parameters = list(train_state.network.parameters())
    options, job = train_state.config.training_param, train_state.job
    target = torch.nn.functional.one_hot(batch.label, NUM_CLASS).float()
    for _ in range(steps):
        with autocast(options, job.device):
            logits = train_state.model(batch.video, batch.audio)
        torch.nn.functional.cross_entropy(logits.float(), target).backward()
        torch.nn.utils.clip_grad_norm_(parameters, train_state.config.optimizer_param.gd)
        train_state.optimizer.step()
        train_state.optimizer.zero_grad(set_to_none=True)
        train_state.schedule.step()


def _figure(name: str, times: dict[str, list[Times]]) -> dict[str, Any]:
    pairs = list(zip(times[name], times["bare step"], strict=True))
    return {
        "loop": name,
        "seconds_per_step": quartiles([turn.wall for turn in times[name]]),
        "cpu_seconds_per_step": quartiles([turn.cpu for turn in times[name]]),
        "overhead": quartiles([ours.wall / bare.wall - 1 for ours, bare in pairs]),
        "cpu_overhead": quartiles([ours.cpu / bare.cpu - 1 for ours, bare in pairs]),
    }


def _print(figures: Sequence[dict[str, Any]]) -> None:
    print_figures(figures, ("loop", "seconds_per_step", "overhead", "cpu_overhead"))
    overhead, wait = figures[1]["overhead"]["median"], figures[1]["data_wait"]
    verdict = "within" if max(overhead, wait) < TARGET else "ABOVE"
    print(f"the trainer adds {overhead:.2%} and waits for data {wait:.2%} of the time: {verdict} {TARGET:.0%}")


if __name__ == "__main__":
    main()
