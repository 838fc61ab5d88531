"""A predictor in a process of its own: where a video takes too long or ends it, another one takes its place."""

import io
import logging
import multiprocessing
import os
import signal
import threading
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import cast

import tsam_dali
from pipelines.parallel.processes import block_signals, no_main_module
from pipelines.parallel.server import Fault, Limits, explain, timed_out
from tsam_dali.inference.outputs import JsonLines
from tsam_dali.inference.results import PredictionError

log = logging.getLogger(__name__)


class ChildPredictor:
    """What `tsam_dali.load(checkpoint)` gives, for one caller at a time; without PyTorch in this process.

    Args:
        checkpoint: as for `tsam_dali.load`.
        topk: classes of each video.

    Raises:
        ValueError: it cannot be loaded.
    """

    def __init__(self, checkpoint: str, topk: int = 5):
        self._arguments = checkpoint, topk
        self._start()

    def predict(self, path: str | Path, name: str, seconds: float) -> str | Fault:
        """The prediction of a video as a line of JSON, in which it is called `name`; or why there is none.

        Args:
            seconds: that it may take.
        """
        if not self._process.is_alive():
            self._start()
        try:
            self._connection.send((str(path), name))
            if self._connection.poll(seconds):
                return cast(str | Fault, self._connection.recv())
            fault = timed_out(Limits(seconds))
        except (EOFError, OSError):
            self._process.join()
            fault = explain(self._process.exitcode or 0, Limits(seconds))
        self._process.kill()
        self.close()
        log.warning("%s: %s; the network is loaded again", name, fault.reason)
        return fault

    def close(self) -> None:
        """End the process."""
        self._connection.close()  # which it notices if it has nothing to do
        self._process.join(2)
        self._process.kill()
        self._process.join()

    def _start(self) -> None:
        self._connection, theirs = multiprocessing.Pipe()
        spawn = multiprocessing.get_context("spawn")
        self._process = spawn.Process(target=_serve, args=(theirs, *self._arguments))
        with no_main_module(), block_signals(signal.SIGINT):
            self._process.start()
        theirs.close()
        try:
            problem = self._connection.recv()
        except EOFError:
            problem = "the process that loads it was ended, perhaps because memory ran out"
        if problem:
            raise ValueError(f"{self._arguments[0]}: {problem}")


def _serve(connection: Connection, checkpoint: str, topk: int) -> None:
    """Answer pairs of path and name, until the parent is gone."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        predictor = tsam_dali.load(checkpoint)
    except ValueError as error:
        connection.send(str(error).removeprefix(f"{checkpoint}: "))
        return
    connection.send("")
    while True:
        try:
            path, name = connection.recv()
        except EOFError:
            return
        try:
            line = io.StringIO()
            found = predictor.predict(path, topk)
            JsonLines(line, (), predictor.task.plural).write(replace(found, path=name))
            connection.send(line.getvalue())
        except PredictionError as error:
            connection.send(Fault("failed", str(error).replace(path, name)))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(0)
