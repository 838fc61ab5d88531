"""Variants of one thing, measured side by side: each in a process of its own that lives on, taking turns.

A variant cannot disturb another one (libraries that bring their own FFmpeg or thread pools never meet), all of them
see the same machine in the same minutes, and start-up and first-use costs are paid before the first round.
"""

import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any, Protocol, TypeVar

import numpy as np
from tqdm import tqdm

from benchmarks.harness.processes import pin, tree
from pipelines.parallel.processes import no_main_module

Make = Callable[[], Any]
"""Makes, in the variant's own process, the object whose methods are called; at the end `close`, if it has one. It must
be picklable: a function of a module, or a partial of one."""


class MissingVariantError(Exception):
    """A variant that cannot run here; the text says why, such as "not installed"."""


class VariantError(RuntimeError):
    """A variant that failed; the text holds its traceback."""


class Variant:
    """A variant in its own process.

    Attributes:
        name: what it is called in tables.
        missing: why it cannot run here; None: it can.
        pid: its process.
    """

    def __init__(self, name: str, make: Make, cores: Sequence[int]):
        context = multiprocessing.get_context("spawn")
        self.name = name
        self._pipe, far_end = context.Pipe()
        self._process = context.Process(target=_serve, args=(far_end, make, cores))
        with no_main_module():
            self._process.start()
        far_end.close()  # so that the end of the process is the end of the pipe
        self.missing: str | None = self._receive()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None  # it was started
        return self._process.pid

    def call(self, method: str, *arguments: Any, limit: float | None = None) -> Any:
        """Call a method of the variant's object.

        Args:
            limit: seconds that it may take, after which its process is killed; default: any time.

        Raises:
            VariantError: it raised an error, took too long, or its process ended.
        """
        with suppress(BrokenPipeError):  # what it ended with is still to be received
            self._pipe.send((method, arguments))
        if not self._pipe.poll(limit):
            _kill(tree(self.pid))
            raise VariantError(f"{self.name}: no answer in {limit:g} s")
        return self._receive()

    def close(self) -> None:
        """End the process, and whatever it started and left behind."""
        members = tree(self.pid) if self._process.is_alive() else []
        if self._process.is_alive() and self.missing is None:
            with suppress(BrokenPipeError):  # it is just ending
                self._pipe.send(None)
        self._process.join(10)
        _kill(members)
        self._process.join()

    def _receive(self) -> Any:
        try:
            failure, value = self._pipe.recv()
        except (EOFError, ConnectionResetError):
            self._process.join()
            raise VariantError(f"{self.name}: its process ended with status {self._process.exitcode}") from None
        if failure:
            raise VariantError(f"{self.name}: {failure}")
        return value


@contextmanager
def running(makers: Mapping[str, Make], cores: Sequence[int]) -> Iterator[list[Variant]]:
    """Start the variants one after another, all pinned to the same cores; end them on leaving."""
    with ExitStack() as stack:
        variants = []
        for name, make in makers.items():
            variants.append(Variant(name, make, cores))
            stack.callback(variants[-1].close)
        yield variants


def present_and_missing(variants: Sequence[Variant]) -> tuple[list[Variant], dict[str, str]]:
    """Those that can run here, and why each of the others cannot."""
    missing = {variant.name: variant.missing for variant in variants if variant.missing is not None}
    return [variant for variant in variants if variant.name not in missing], missing


class Named(Protocol):
    """What can take turns."""

    @property
    def name(self) -> str: ...


One = TypeVar("One", bound=Named)


def take_turns(
    variants: Sequence[One], rounds: int, turn: Callable[[One], Any], show: bool = True
) -> dict[str, list[Any]]:
    """What `turn` gives for each variant in each round, by name. Every round begins with another variant."""
    found: dict[str, list[Any]] = {variant.name: [] for variant in variants}
    for number in tqdm(range(rounds), desc="rounds", unit="round", disable=not show):
        first = number % max(len(variants), 1)
        for variant in [*variants[first:], *variants[:first]]:
            found[variant.name].append(turn(variant))
    return found


def quartiles(values: Sequence[float] | np.ndarray, digits: int = 4) -> dict[str, float]:
    """Median and quartiles, to so many significant digits."""
    low, middle, high = np.percentile(values, [25, 50, 75])
    return {name: float(f"{x:.{digits}g}") for name, x in (("median", middle), ("q1", low), ("q3", high))}


def ratios(above: Iterable[float], below: Iterable[float]) -> dict[str, float]:
    """Median and quartiles of the ratios within a round."""
    return quartiles([one / other for one, other in zip(above, below, strict=True)])


def _kill(pids: Iterable[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _serve(pipe: Connection, make: Make, cores: Sequence[int]) -> None:
    """The process of a variant: answers calls until it is sent None."""
    pin(cores)
    try:
        variant = make()
    except MissingVariantError as reason:
        pipe.send((None, str(reason)))
        return
    except Exception:
        pipe.send((traceback.format_exc(), None))
        return
    pipe.send((None, None))
    while (call := pipe.recv()) is not None:
        method, arguments = call
        try:
            pipe.send((None, getattr(variant, method)(*arguments)))
        except Exception:
            pipe.send((traceback.format_exc(), None))
    if hasattr(variant, "close"):
        variant.close()
