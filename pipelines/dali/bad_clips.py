"""Which clips of a batch make a DALI pipeline fail: what DALI cannot decode takes the whole batch with it."""

import re
from dataclasses import dataclass, replace
from typing import Any

from pipelines.dali.graph import Tail, build_pipeline
from pipelines.dali.source import ClipSource
from pipelines.sampling.batch_order import Order, Position


@dataclass(frozen=True)
class OneByOne:
    """The batch of one step as batches of one clip: step number p of this order is place p of that batch."""

    order: Order
    step: int
    rank_batch: int = 1

    def __len__(self) -> int:
        return self.order.rank_batch

    def position(self, step: int, place: int) -> Position:
        return self.order.position(self.step, min(step, self.order.rank_batch - 1))


def find_bad_clips(source: ClipSource, tail: Tail, step: int, *, device_id: int | None) -> dict[int, str]:
    """The rows of the clips that fail also alone, each with DALI's reason.

    Args:
        source: what the failed pipeline read from.
        tail: that of the failed pipeline.
        step: the one that failed.
        device_id: the GPU; None: the CPU.
    """
    bad_clips: dict[int, str] = {}
    pipeline = None
    one_by_one = replace(source, order=OneByOne(source.order, step))
    for place in range(source.order.rank_batch):
        if pipeline is None:  # a pipeline that has failed is not used again
            one_by_one = replace(one_by_one, first_step=place)
            pipeline = _start(one_by_one, tail, device_id)
        try:
            pipeline.run()
        except Exception as error:  # DALI raises plain exceptions
            bad_clips[source.order.position(step, place).row] = _reason(error)
            pipeline = None
    return bad_clips


def _start(source: ClipSource, tail: Tail, device_id: int | None) -> Any:
    pipeline, _ = build_pipeline(source, tail, batch_size=1, device_id=device_id, workers=0, threads=1, prefetch=1)
    pipeline.build()
    return pipeline


def _reason(error: Exception) -> str:
    """The line of DALI's message that says what was the matter, without the place in DALI's source."""
    text = re.split("encountered:", str(error), flags=re.IGNORECASE)[-1]
    lines = [line.replace("sample #0", "").strip(" :") for line in text.splitlines() if line.strip(" :")]
    return f"DALI: {lines[0].rpartition('] ')[2] if lines else type(error).__name__}"
