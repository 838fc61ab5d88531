"""Time small training steps on two cores, quiet and beside busy processes, by how OpenMP's threads wait.

On the CPU, with the trainer's own loop: one process with two threads, and two ranks with a thread each. `default` is
what libgomp does where nobody says anything: threads spin for some 3 ms. `ours` is what `tsam_dali` sets.

example:
  python -m benchmarks.training.busy --policies passive "spin 30000"
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import product
from typing import Any

from benchmarks.harness.arguments import add_arch, benchmark_parser, values_of
from benchmarks.harness.measure import quartiles, ratios, running, take_turns
from benchmarks.harness.plots import plot_figures
from benchmarks.harness.processes import choose_cores, pin
from benchmarks.harness.results import origin, print_figures, write_results
from benchmarks.training.ranks import Ranks, ranks
from benchmarks.training.step_variants import Manner, Size, Stepping
from tsam_dali.cli.common import friendly_errors

OURS, DEFAULT = "ours", "default"
POLICIES = {
    OURS: {"GOMP_SPINCOUNT": "10000"},
    DEFAULT: {"GOMP_SPINCOUNT": "300000"},  # libgomp's own number
    "passive": {"OMP_WAIT_POLICY": "PASSIVE"},
    **{f"spin {count}": {"GOMP_SPINCOUNT": f"{count}"} for count in (1000, 30000, 100000)},
}
CORES = 2
PROCESSES = ("2 threads", "2 ranks")
METHOD = {
    "clips_per_second": "clips of all processes by the wall seconds of a step; median and quartiles over the rounds",
    "to_default": "clips/s by those of the default in the same round and state",
    "busy_to_quiet": "clips/s beside as many busy processes as cores, by those without them in the same round",
    "warm_up": "two steps of each variant before the first round; not counted",
    "order": "all variants take turns, quiet, then beside the busy processes, on the same two cores; each round begins "
    "with another one",
}


class Apart:
    """One process with two threads, called as `benchmarks.training.ranks.Ranks` is."""

    def __init__(self, variant: Any):
        self.variant = variant

    def seconds(self, steps: int) -> float:
        return sum(self.variant.call("step")["wall"] for _ in range(steps)) / steps


class Together:
    """Two ranks of one job."""

    def __init__(self, group: Ranks):
        self.group = group

    def seconds(self, steps: int) -> float:
        return max(self.group.call("steps", steps))


class Measured:
    """A variant: how processes wait, and which they are."""

    def __init__(self, policy: str, processes: str, work: Apart | Together):
        self.policy, self.processes, self.work = policy, processes, work
        self.name = f"{processes}, {policy}"


@friendly_errors
def main() -> None:
    args = _arguments()
    cores, start = choose_cores(CORES), origin()
    with ExitStack() as stack:
        chosen = product(PROCESSES, dict.fromkeys((OURS, DEFAULT, *args.policies)))
        variants = [stack.enter_context(_started(policy, processes, cores, args)) for processes, policy in chosen]
        take_turns(variants, 1, lambda variant: variant.work.seconds(2), show=False)
        taken: dict[tuple[str, str], list[float]] = {}
        for number in range(args.rounds):
            order = variants[number % len(variants) :] + variants[: number % len(variants)]
            _add(taken, "quiet", order, args.steps)
            with _busy(cores):
                _add(taken, "busy", order, args.steps)
    figures = [_figure(variant, taken, args.batch_size) for variant in variants]
    print_figures(figures, list(figures[0]))
    sizes = values_of(args, ("arch", "batch_size", "segments", "pixels", "steps", "rounds"))
    policies = {policy: POLICIES[policy] for policy in (OURS, DEFAULT, *args.policies)}
    write_results(args.output, "busy", METHOD | sizes | {"policies": policies, "cores": len(cores)}, figures, start)
    named = [figure | {"name": f"{figure['processes']}, {figure['policy']}"} for figure in figures]
    states = {"Clips per second, quiet": "clips_per_second", "beside busy processes": "busy_clips_per_second"}
    title = "Small training steps on two cores"
    plot_figures(
        args.output,
        named,
        "name",
        states,
        ours=lambda name: name.endswith(f", {OURS}"),
        title=title,
    )


def _arguments() -> argparse.Namespace:
    numbers = {"batch_size": 16, "segments": 8, "pixels": 64, "rounds": 9, "steps": 10}
    command = benchmark_parser("training.busy", __doc__, **numbers)
    add_arch(command, "test_resnet")
    others = [policy for policy in POLICIES if policy not in (OURS, DEFAULT)]
    help_policies = f"to measure beside ours and the default: {', '.join(others)}"
    command.add_argument("--policies", nargs="+", choices=others, default=[], metavar="NAME", help=help_policies)
    return command.parse_args()


@contextmanager
def _started(policy: str, processes: str, cores: Sequence[int], args: argparse.Namespace) -> Iterator[Measured]:
    """The processes of a variant. libgomp reads the environment once, when torch is loaded."""
    with ExitStack() as stack, _environment(POLICIES[policy]):
        if processes == "2 threads":
            size = Size(args.arch, args.batch_size, args.segments, args.pixels, CORES)
            make = {policy: partial(Stepping, Manner(channels_last=True), size)}
            (variant,) = stack.enter_context(running(make, cores))
            work: Apart | Together = Apart(variant)
        else:
            sizes = values_of(args, ("segments", "pixels")) | {"batch_size": max(1, args.batch_size // CORES)}
            work = Together(stack.enter_context(ranks("2 ranks, DDP", cores, sizes, args.arch)))
        yield Measured(policy, processes, work)


@contextmanager
def _environment(changes: dict[str, str]) -> Iterator[None]:
    names = {name for policy in POLICIES.values() for name in policy}
    before = {name: os.environ.pop(name, None) for name in names}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextmanager
def _busy(cores: Sequence[int]) -> Iterator[None]:
    """As many processes as cores that never wait."""
    words = [sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(words, preexec_fn=partial(pin, cores)) for _ in cores]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _add(taken: dict[tuple[str, str], list[float]], state: str, variants: Sequence[Measured], steps: int) -> None:
    for variant in variants:
        taken.setdefault((variant.name, state), []).append(variant.work.seconds(steps))


def _figure(variant: Measured, taken: dict[tuple[str, str], list[float]], batch_size: int) -> dict[str, Any]:
    quiet, busy = (taken[variant.name, state] for state in ("quiet", "busy"))
    default = [taken[f"{variant.processes}, {DEFAULT}", state] for state in ("quiet", "busy")]
    return {
        "processes": variant.processes,
        "policy": variant.policy,
        "clips_per_second": quartiles([batch_size / seconds for seconds in quiet]),
        "to_default": ratios(default[0], quiet),
        "busy_clips_per_second": quartiles([batch_size / seconds for seconds in busy]),
        "busy_to_default": ratios(default[1], busy),
        "busy_to_quiet": ratios(quiet, busy),
    }


if __name__ == "__main__":
    main()
