"""Batches without DALI: threads of this process read the clips, PyTorch resizes them.

For what is read once on the CPU, where decode processes take longer to start than to decode, and for predictions and
evaluations where DALI is not installed. Bit by bit the batches that DALI's graph gives on the CPU.
"""

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch

from pipelines.batches import Batch, Loader
from pipelines.dali.resize import to_video
from pipelines.dali.source import ClipSource, Sample


class ThreadLoader(Loader):
    """Its clips are decoded and not changed in color: those of an evaluation or a prediction.

    Args:
        output_size: height and width of the frames, in pixels.
        threads: clips that are read at a time. FFmpeg and NumPy work side by side in them.
        prefetch: batches that are read ahead.
    """

    def __init__(
        self,
        source: ClipSource,
        output_size: int,
        *,
        device: torch.device,
        threads: int,
        prefetch: int,
        max_bad_fraction: float,
    ):
        super().__init__(source, device=device, max_bad_fraction=max_bad_fraction)
        self._output_size, self._threads, self._prefetch = output_size, threads, prefetch
        self._pool: ThreadPoolExecutor | None = None
        self._ahead: deque[list[Future[Sample]]] = deque()  # the batches of this step and of those behind it

    def close(self) -> None:
        """Read no further clips."""
        if self._pool:
            self._pool.shutdown(cancel_futures=True)
        self._pool = None
        self._ahead.clear()

    def _next(self) -> Batch:
        self._pool = self._pool or ThreadPoolExecutor(self._threads)
        places = range(self.source.order.rank_batch)
        while len(self._ahead) <= self._prefetch:
            step = self.step + len(self._ahead)
            self._ahead.append([self._pool.submit(self.source.sample, step, place) for place in places])
        samples = [future.result() for future in self._ahead.popleft()]
        names = ["meta", "reason"]
        names += ["audio"] if self.source.audio_segments else []
        names += ["target"] if self.source.targets.size else []
        outputs = {name: torch.from_numpy(np.stack([getattr(sample, name) for sample in samples])) for name in names}
        crops = [torch.from_numpy(sample.video) for sample in samples]
        outputs["video"] = to_video(crops, [bool(sample.flip) for sample in samples], self._output_size)
        return self._to_batch(
            outputs | {name: outputs[name].to(self.device) for name in ("video", "audio") if name in outputs}
        )
