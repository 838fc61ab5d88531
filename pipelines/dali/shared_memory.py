"""/dev/shm, through which decode workers pass their samples: whether the batches fit, and why a worker ended."""

import os
import signal
from collections.abc import Iterable, Sequence
from itertools import product
from multiprocessing.process import BaseProcess

from pipelines.audio.log_mel import silent_spectrogram
from pipelines.dali.inputs import DecodedVideo
from pipelines.dali.source import ClipSource
from pipelines.parallel.processes import TOLD_TO_END

FOLDER = "/dev/shm"
REMEDY = (
    "give the container more (docker run --shm-size 8g ...), decode without worker processes (pipeline.workers=0), or "
    "take smaller batches"
)
SAMPLED = 256
"""Samples whose mean size stands for that of all."""


class SharedMemoryError(ValueError):
    """The batches do not fit into /dev/shm."""


def batch_bytes(source: ClipSource) -> int:
    """Mean size of what workers pass on for a batch of one rank. Of compressed videos and images it is not known
    before they are read: nothing."""
    order = source.order
    steps = range(min(len(order), -(-SAMPLED // order.rank_batch)))
    places = [
        order.position(source.first_step + step, place) for step, place in product(steps, range(order.rank_batch))
    ]
    audio = silent_spectrogram(source.mels.options, source.audio_segments).nbytes
    frames = 0.0
    if isinstance(source.video_input, DecodedVideo):
        crops = [source.plan(place).crop for place in places if place.row >= 0]
        frames = 3 * source.num_segments * sum(crop.height * crop.width for crop in crops) / len(places)
    return round(order.rank_batch * (frames + audio))


def check_shared_memory(needs: Sequence[int], ranks: int = 1) -> None:
    """Compare what is free with what pipelines will need at the same time, in bytes, in each of the machine's ranks.

    Raises:
        SharedMemoryError: it is less.
    """
    needed = sum(needs) * ranks
    if needed and needed > (free := _space()[0]):
        raise SharedMemoryError(
            f"{FOLDER} has {free / 1e6:.0f} MB free, but the batches that decode workers pass through it need at least "
            f"{needed / 1e6:.0f} MB; {REMEDY}"
        )


def worker_ends(workers: Iterable[BaseProcess]) -> str:
    """How decode workers have ended on their own, such as "a decode worker has ended: SIGSEGV"; "" if none has.

    Raises:
        SharedMemoryError: by SIGBUS, as they do where /dev/shm is full.
    """
    codes = {code for worker in workers if (code := worker.exitcode) not in (None, TOLD_TO_END)}
    if -signal.SIGBUS in codes:
        raise SharedMemoryError(
            f"a decode worker has ended: SIGBUS, as where {FOLDER} is full (of {_space()[1] / 1e6:.0f} MB); {REMEDY}"
        )
    names = {-number: number.name for number in signal.Signals}
    ends = [names.get(code, f"exit code {code}") for code in sorted(codes)]
    memory = ", perhaps because memory ran out" if -signal.SIGKILL in codes else ""
    return f"a decode worker has ended: {', '.join(ends)}{memory}" if ends else ""


def _space() -> tuple[int, int]:
    """Bytes that are free, and all; 0 where there is no such folder, and so no shared memory."""
    try:
        status = os.statvfs(FOLDER)
    except OSError:
        return 0, 0
    return status.f_bavail * status.f_frsize, status.f_blocks * status.f_frsize
