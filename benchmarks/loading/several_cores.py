"""Clips per second of decoders on several cores, in two ways: a process for each core with one thread; and one process
that decodes a clip at a time, with a thread for each core.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from typing import Any

import numpy as np

from benchmarks.baselines.decoders import DECODERS, OURS, Decoder, Job
from benchmarks.baselines.pixels import compare
from benchmarks.harness.measure import Make, quartiles, ratios, take_turns
from benchmarks.harness.plots import Panel, panel
from benchmarks.harness.processes import pin
from benchmarks.harness.results import print_figures
from pipelines.parallel.processes import end_with_parent, no_main_module

KIND = "several cores"
CLIPS_PER_PROCESS = 8  # in a round, at least: the processes do not end at the same moment
START_SECONDS = 120  # at most, for processes that import large libraries beside each other
METHOD = {
    "several cores": "figures of their own kind: frames of a validation, the first of --segments; CPU time is a mean",
    "processes": "on several cores: one for each core, with one thread; whichever is free takes the next clip",
    "threads": "on several cores: one for each core in one process, which decodes a clip at a time",
    "speed_relative_to_ours": "clips per second of this way by that of our processes in the same round",
}


class Processes:
    """Processes with a decoder each."""

    def __init__(self, decoder: str, processes: int, threads: int, cores: Sequence[int]):
        self.name = f"{decoder}, {processes} x {threads}"
        self.facts = {"decoder": decoder, "processes": processes, "threads": threads}
        make = DECODERS[decoder] if threads == 1 else partial(DECODERS[decoder], threads=threads)
        context = get_context("spawn")
        started = context.Barrier(processes + 1)
        self._pool = ProcessPoolExecutor(processes, context, _start, (make, cores, started))
        with no_main_module():
            for _ in range(processes):
                self._pool.submit(int)  # starts one more, as long as none is ready
        started.wait(START_SECONDS)

    def frames(self, job: Job) -> np.ndarray:
        return self._pool.submit(_frames, job).result()

    def time(self, jobs: Sequence[Job]) -> tuple[float, float]:
        """Seconds of CPU, of all processes, and of wall time."""
        start = time.perf_counter()
        cpu = sum(self._pool.map(_cpu_seconds, jobs))
        return cpu, time.perf_counter() - start

    def close(self) -> None:
        self._pool.shutdown()


def measure(
    names: Iterable[str], cases: Mapping[tuple[str, int], Sequence[Job]], rounds: int, cores: Sequence[int]
) -> list[dict[str, Any]]:
    """The figures of this kind.

    Args:
        names: of decoders that can run here, ours first.
        cases: the jobs of each group of clips, by its label and the number of frames.
        rounds: to measure.
        cores: on which all of them run.
    """
    many = len(cores)
    ways = [(name, many, 1) for name in names] + [(name, 1, many) for name in names if name != OURS and many > 1]
    jobs = {case: [*some] * -(-CLIPS_PER_PROCESS * many // len(some)) for case, some in cases.items()}
    with ExitStack() as stack:
        running = []
        for way in ways:
            running.append(Processes(*way, cores))
            stack.callback(running[-1].close)
        pixels = {case: compare({one.name: one.frames for one in running}, some) for case, some in cases.items()}
        turns = take_turns(running, rounds + 1, lambda one: {case: one.time(some) for case, some in jobs.items()})
    figures = []
    for case, some in jobs.items():
        times = {name: np.array([turn[case] for turn in found[1:]]) for name, found in turns.items()}  # (rounds, 2)
        for one in running:
            cpu, wall = times[one.name].T
            figure = {"kind": KIND, "clips": case[0], "segments": case[1], **one.facts, "num_clips": len(some)}
            figure |= {
                "clips_per_second": quartiles(len(some) / wall),
                "speed_relative_to_ours": ratios(times[running[0].name][:, 1], wall),
                "cpu_ms_per_clip": quartiles(1000 * cpu / len(some)),
            }
            figures.append(figure | pixels[case][one.name])
    return figures


def print_speeds(figures: Sequence[dict[str, Any]]) -> None:
    rates = ("clips_per_second", "speed_relative_to_ours", "cpu_ms_per_clip", "max_difference")
    print_figures(figures, ("clips", "segments", "decoder", "processes", "threads", *rates))
    for clips in dict.fromkeys(figure["clips"] for figure in figures):
        others = [figure for figure in figures if figure["clips"] == clips and figure["decoder"] != OURS]
        if others:
            best = max(others, key=lambda figure: figure["speed_relative_to_ours"]["median"])
            how = f"{best['decoder']}, processes x threads {best['processes']} x {best['threads']}"
            print(f"{clips}: {best['speed_relative_to_ours']['median']:.2f} of our speed on several cores: {how}")


def panels(figures: Sequence[dict[str, Any]]) -> list[Panel]:
    """For each group of clips one of the processes, and one of the threads beside our processes."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for figure in figures:
        case = f"{figure['clips']}: {figure['segments']} frames"
        if figure["threads"] == 1:
            groups.setdefault(f"{case}, a process a core, clips/s", []).append(figure)
        if figure["threads"] > 1 or (figure["decoder"] == OURS and figure["processes"] > 1):
            groups.setdefault(f"{case}, a thread a core (ours: a process), clips/s", []).append(figure)
    return [panel(title, group, "decoder", "clips_per_second", OURS.__eq__) for title, group in groups.items()]


_decoder: Decoder  # of a process of the pool


def _start(make: Make, cores: Sequence[int], started: Barrier) -> None:
    global _decoder
    end_with_parent()
    pin(cores)
    _decoder = make()
    started.wait(START_SECONDS)


def _frames(job: Job) -> np.ndarray:
    return _decoder.frames(job)


def _cpu_seconds(job: Job) -> float:
    return _decoder.time([job])[0][0]
