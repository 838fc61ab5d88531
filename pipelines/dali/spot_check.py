"""Now and then, while a GPU decodes, a sample is decoded on the CPU as well and compared, beside the training."""

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from pipelines.dali.graph import Tail
from pipelines.dali.inputs import NVDEC_INPUTS, DecodedVideo
from pipelines.dali.resize import to_video
from pipelines.dali.source import ClipSource

log = logging.getLogger(__name__)
SAMPLES = 500
"""One in so many is compared."""
MOST_LEVELS = 2.0  # mean difference of a frame, of 255: what decoders and resizing may differ by


def spot_check_of(source: ClipSource, tail: Tail, device: torch.device) -> "SpotCheck | None":
    """The comparisons of a loader that decodes on NVDEC; None for others."""
    on_nvdec = device.type == "cuda" and isinstance(source.video_input, NVDEC_INPUTS)
    return SpotCheck(source, tail.output_size) if on_nvdec else None


def without_nvdec(source: ClipSource) -> ClipSource:
    """The same samples, decoded on the CPU."""
    return replace(source, video_input=DecodedVideo())


class SpotCheck:
    """The comparisons of one loader; one at a time, in a thread."""

    def __init__(self, source: ClipSource, output_size: int):
        self._source, self._size = source, output_size
        self._thread = ThreadPoolExecutor(1)
        self._running: Future[str] | None = None
        self.every = -(-SAMPLES // source.order.rank_batch)  # steps

    def failed(self) -> bool:
        """Whether the last comparison is over and frames differed, of which a warning is logged."""
        if self._running is None or not self._running.done():
            return False
        difference, self._running = self._running.result(), None
        if difference:
            log.warning("NVDEC gives other frames (%s): from now on the CPU decodes", difference)
        return bool(difference)

    def start(self, step: int, video: Tensor, ok: Tensor) -> None:
        """Compare a sample of a batch, if it is the turn of this step.

        Args:
            step: of the batch.
            video: float32 (B, S, 3, H, W), 0..1, before changes of color.
            ok: (B,), which samples could be read; on the CPU.
        """
        if step % self.every or self._running or not ok.any():
            return
        places = ok.nonzero().flatten().tolist()
        place = places[step // self.every % len(places)]
        sample = video[place].clone()  # the batch is changed in place
        self._running = self._thread.submit(self._compare, step, place, sample)

    def _compare(self, step: int, place: int, sample: Tensor) -> str:
        position = self._source.order.position(step, place)
        clip, plan = self._source.clips[position.row], self._source.plan(position)
        try:
            crop, _ = DecodedVideo().read(clip, plan)
        except Exception:  # the CPU may refuse what NVDEC conceals
            return ""
        expected = to_video([torch.from_numpy(np.ascontiguousarray(crop))], [plan.flip], self._size)[0]
        levels = 255 * (sample.cpu() - expected).abs().mean((1, 2, 3))
        worst = int(levels.argmax())
        if levels[worst] <= MOST_LEVELS:
            return ""
        return f"clip {clip.id}, frame {plan.frames[worst]}: {levels[worst]:.1f} levels from the CPU's"
