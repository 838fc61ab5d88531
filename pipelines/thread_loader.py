"""Batches without DALI: processes with limits read the clips, PyTorch resizes them.

For what is read once on the CPU, where DALI's decode processes take longer to start than to decode, and for predictions
and evaluations where DALI is not installed. Bit by bit the batches that DALI's graph gives on the CPU.
"""

from collections import deque
from multiprocessing.pool import AsyncResult, ThreadPool

import numpy as np
import torch

from pipelines.batches import Batch, Loader
from pipelines.dali.resize import to_video
from pipelines.dali.source import ClipSource, Reading, Sample
from pipelines.parallel.sandbox import Fault, Limits, Sandbox, Task

LIMITS = Limits(seconds=600, megabytes=16384)
"""Of the reading of a clip, which may be a long film: what hangs or fills the memory."""
CLIPS_PER_PROCESS = 16
"""So many at least: a process takes about as long to start."""


class ThreadLoader(Loader):
    """Its clips are decoded and not changed in color: those of an evaluation or a prediction.

    Args:
        output_size: height and width of the frames, in pixels.
        workers: clips that are read at a time, each in a process of its own; 0: this process reads.
        prefetch: batches that are read ahead.
        sandbox: processes that read, and go on living; default: new ones, where there are `workers`.
    """

    def __init__(
        self,
        source: ClipSource,
        output_size: int,
        *,
        device: torch.device,
        workers: int,
        prefetch: int,
        max_bad_fraction: float,
        sandbox: Sandbox | None = None,
    ):
        super().__init__(source, device=device, max_bad_fraction=max_bad_fraction)
        self._output_size, self._prefetch = output_size, prefetch
        clips = len(source.order) * source.order.rank_batch
        self._threads, self._workers = max(1, min(workers, clips // CLIPS_PER_PROCESS)), workers
        self._task, self._given = Task(Reading(source), LIMITS), sandbox
        self._own: Sandbox | None = None
        self._pool: ThreadPool | None = None  # of daemons: a program ends though it has not read everything
        self._ahead: deque[list[AsyncResult[Sample]]] = deque()  # the batches of this step and of those behind it

    def close(self) -> None:
        """Read no further clips."""
        if self._pool:
            self._pool.terminate()
            if self._own:
                self._own.close()
            if self._given:
                self._given.stop(self._task)
            self._pool.join()
        self._pool = self._own = None
        self._ahead.clear()

    def _next(self) -> Batch:
        if self._pool is None:
            self._pool = ThreadPool(self._threads)
            self._own = Sandbox(self._threads) if self._workers and not self._given else None
        places = range(self.source.order.rank_batch)
        while len(self._ahead) <= self._prefetch:
            step = self.step + len(self._ahead)
            self._ahead.append([self._pool.apply_async(self._read, (step, place)) for place in places])
        samples = [result.get() for result in self._ahead.popleft()]
        names = ["meta", "reason"]
        names += ["audio"] if self.source.audio_segments else []
        names += ["target"] if self.source.targets.size else []
        outputs = {name: torch.from_numpy(np.stack([getattr(sample, name) for sample in samples])) for name in names}
        crops = [torch.from_numpy(sample.video) for sample in samples]
        outputs["video"] = to_video(crops, [bool(sample.flip) for sample in samples], self._output_size)
        return self._to_batch(
            outputs | {name: outputs[name].to(self.device) for name in ("video", "audio") if name in outputs}
        )

    def _read(self, step: int, place: int) -> Sample:
        sandbox, position = self._given or self._own, self.source.order.position(step, place)
        if not sandbox or position.row < 0:
            return self.source.sample(step, place)
        found = sandbox.run(self._task, (step, place))
        if isinstance(found, Fault):
            return self.source.black(position, f"{self.source.clips[position.row].path}: {found.reason}")
        return found
