"""What a pipeline gives, as torch tensors, batch after batch."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from nvidia.dali import Pipeline
from nvidia.dali.plugin.base_iterator import LastBatchPolicy
from nvidia.dali.plugin.pytorch import DALIGenericIterator
from torch import Tensor

from pipelines.dali.resize import to_video


def gpu_outputs(pipeline: Pipeline, names: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """The outputs of a pipeline that runs on a GPU, by name."""
    batches = DALIGenericIterator(
        [pipeline],
        list(names),
        last_batch_policy=LastBatchPolicy.DROP,  # the order pads by itself: a batch is never partial
        prepare_first_batch=False,
    )
    return (outputs[0] for outputs in batches)


def cpu_outputs(pipeline: Pipeline, names: Sequence[str], size: int) -> Iterator[dict[str, Tensor]]:
    """The outputs of a pipeline without a GPU, by name, but for `flip`; the crops in `video` are resized, see
    `to_video`.
    """
    while True:
        outputs: dict[str, Any] = dict(zip(names, pipeline.run(), strict=True))  # of DALI's tensor lists
        crops = [torch.from_dlpack(sample) for sample in outputs.pop("video")]
        flips = outputs.pop("flip").as_array()
        # Copies: DALI writes the next batch into the same memory.
        yield {"video": to_video(crops, flips, size)} | {
            name: torch.from_dlpack(output.as_tensor()).clone() for name, output in outputs.items()
        }
