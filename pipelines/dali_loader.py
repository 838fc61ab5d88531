"""DALI pipeline -> batches of torch tensors: padded, never dropped or repeated; survives what a pipeline does not."""

import logging
import multiprocessing
from collections.abc import Iterator

import torch

from pipelines.batches import Batch, Loader, LoaderError
from pipelines.dali.bad_clips import find_bad_clips
from pipelines.dali.color_jitter import change_look
from pipelines.dali.graph import Tail, build_pipeline
from pipelines.dali.outputs import cpu_outputs, gpu_outputs
from pipelines.dali.resources import gpu_number
from pipelines.dali.shared_memory import SharedMemoryError, batch_bytes, check_shared_memory, worker_ends
from pipelines.dali.source import ClipSource
from pipelines.dali.spot_check import spot_check_of, without_nvdec
from pipelines.dali.vary import vary
from pipelines.parallel.malloc import return_freed_memory
from pipelines.parallel.processes import STOPPING, block_signals, no_main_module

log = logging.getLogger(__name__)
TRIES = 4  # to get one batch


class DaliLoader(Loader):
    """Worker processes read the clips, or the GPU does.

    Args:
        output_size: height and width of the frames, in pixels.
        workers: decode processes; 0: this process decodes.
        threads: of DALI.
        prefetch: batches that are prepared ahead.
    """

    def __init__(
        self,
        source: ClipSource,
        output_size: int,
        *,
        device: torch.device,
        workers: int,
        threads: int,
        prefetch: int,
        max_bad_fraction: float,
    ):
        super().__init__(source, device=device, max_bad_fraction=max_bad_fraction)
        self._tail = Tail(output_size, look=source.training and source.video.changes_look)
        self._device_id = gpu_number(device)
        self._workers, self._threads, self._prefetch = workers, threads, prefetch
        self.spot_check = spot_check_of(source, self._tail, device)
        self._batches: Iterator[dict[str, torch.Tensor]] | None = None
        self._processes: list[multiprocessing.process.BaseProcess] = []  # the decode workers

    @property
    def shared_bytes(self) -> int:  # type: ignore[override]
        """At least so much of /dev/shm: the batches that are prepared, and those that DALI still reads."""
        return 2 * self._prefetch * batch_bytes(self.source) if self._workers else 0

    def close(self) -> None:
        """Stop the worker processes."""
        self._batches = None

    def _next(self) -> Batch:
        """The batch of the current step. A pipeline that fails is built again for it, without the clips that make it
        fail; more than once, as a system short of memory may kill the new workers, too.
        """
        if self.spot_check and self.spot_check.failed():
            self.close()
            self.spot_check, self.source = None, without_nvdec(self.source)
        for tries_left in reversed(range(TRIES)):
            try:
                if self._batches is None:
                    self._batches = self._start()
                if not all(process.is_alive() for process in self._processes):
                    raise RuntimeError("a decode worker has ended")  # asked for work, DALI could wait for it for ever
                return self._finished(next(self._batches))
            except (LoaderError, SharedMemoryError):
                raise
            except Exception as error:  # DALI raises plain exceptions, for a worker that was killed too
                ends = worker_ends(self._processes)
                self.close()
                if not tries_left:
                    if ends:
                        raise LoaderError(f"{TRIES} times in a row at step {self.step}: {ends}") from error
                    raise
                log.warning("the data pipeline failed at step %d and is started again: %s", self.step, ends or error)
                if not ends:  # else no clip is to blame
                    self._leave_out_bad_clips()
        raise AssertionError("not reached")

    def _leave_out_bad_clips(self) -> None:
        """Black instead of the clips that make the pipeline fail. If no clip is to blame, black fails as well."""
        bad_clips = find_bad_clips(self.source, self._tail, self.step, device_id=self._device_id)
        self.source.bad = {**self.source.bad, **bad_clips}

    def _start(self) -> Iterator[dict[str, torch.Tensor]]:
        return_freed_memory()  # what an earlier pipeline held
        check_shared_memory([self.shared_bytes])
        self.source.first_step = self.step
        size, how = self.source.order.rank_batch, {"workers": self._workers, "threads": self._threads}
        pipeline, names = build_pipeline(
            self.source, self._tail, batch_size=size, device_id=self._device_id, prefetch=self._prefetch, **how
        )
        others = set(multiprocessing.active_children())
        with no_main_module(), block_signals(*STOPPING):
            pipeline.build()
        self._processes = [process for process in multiprocessing.active_children() if process not in others]
        if self._device_id is None:
            return cpu_outputs(pipeline, names, self._tail.output_size)
        return gpu_outputs(pipeline, names)

    def _finished(self, outputs: dict[str, torch.Tensor]) -> Batch:
        video = outputs["video"]
        if self.spot_check:
            self.spot_check.start(self.step, video, outputs["meta"][:, 2])
        if self._tail.look:
            change_look(video, outputs["look"])
        if self.source.varied:
            vary(video, outputs.get("audio"), self.source.variations(self.step), self.source.mels.options.silence)
        return self._to_batch(outputs)
