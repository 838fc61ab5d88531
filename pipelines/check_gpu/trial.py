"""What is asked of a way of decoding: the CPU's frames, in any order, also beside a damaged clip; and its speed."""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from pipelines.check_gpu.decoding import Decoding, Wanted
from pipelines.check_gpu.kinds import Kind
from pipelines.check_gpu.verdict import neighbours, what_differs
from pipelines.dataset.clips import Clip
from pipelines.decode.container import VideoError, open_video, video_stream
from pipelines.decode.frames import decode_frames
from pipelines.files.storage import fetch, is_remote
from pipelines.loader import Batch
from pipelines.sampling.plan import training_frames

FRAMES = 4
"""Different ones of each clip; one of them is asked for twice."""
HEADER = 16
"""Bytes of a packet that stay whole in the damaged copy, so that a worker hands it on to the decoder."""
SECONDS, MOST_BATCHES = 3.0, 30
"""For how long batches are counted."""

Announce = Callable[[str], None]


def judge(decoding: Decoding, way: str, kinds: Mapping[Kind, Sequence[Clip]], announce: Announce) -> str:
    """What is wrong with the frames of a way; "" if nothing is.

    Args:
        decoding: where the frames come from.
        way: a value of `pipeline.decode`.
        kinds: some clips of each.
        announce: is told what is done next, for those who watch this process.
    """
    name = {clip: f"{kind}, clip {clip.id}" for kind, members in kinds.items() for clip in members}
    wanted = [(clip, _some_frames(clip, row)) for row, clip in enumerate(name)]
    announce("reading the frames on the CPU")
    with ThreadPoolExecutor() as threads:  # of a long 4K video a frame can take seconds
        reference = dict(zip(name, threads.map(_cpu_frames, *zip(*wanted, strict=True)), strict=True))
    wanted = [(clip, frames) for clip, frames in wanted if reference[clip]]
    if not wanted:
        return "the CPU can read none of the clips"
    right: dict[Clip, np.ndarray] = {}  # what was compared already
    whole = [("in a batch of all kinds", wanted), ("in the opposite order", wanted[::-1])]
    batches = [(f"{name[one[0]]}, alone", [one]) for one in wanted] + whole

    def differs(results: Iterator[list[np.ndarray]], about: str, batch: Sequence[Wanted]) -> str:
        announce(about)
        found = next(results)
        for (clip, frames), pictures in zip(batch, found, strict=False):  # what follows is not compared
            if clip in right and np.array_equal(pictures, right[clip]):
                continue
            if why := what_differs(pictures, frames, reference[clip]):
                return f"{about}: {why}" if name[clip] in about else f"{about}: {name[clip]}: {why}"
            right[clip] = pictures
        return "" if len(found) >= len(batch) else f"{about}: {len(found)} clips in place of {len(batch)}"

    results = decoding.frames(way, [batch for _, batch in batches])
    for about, batch in batches:
        if why := differs(results, about, batch):
            return why
    with tempfile.TemporaryDirectory() as folder:
        broken = _damaged(min(wanted, key=lambda one: one[0].frames), Path(folder))
        with suppress(Exception):  # the loader leaves such a clip out, if others can be decoded after it
            if why := differs(decoding.frames(way, [[*wanted, broken]]), "beside a damaged clip", wanted):
                return why
        return differs(decoding.frames(way, [wanted]), "after a damaged clip", wanted)


def clips_per_second(decoding: Decoding, way: str, announce: Announce) -> float:
    """How many clips a second a way gives to one rank; without those that cannot be read."""
    announce("waiting for the first batch")
    with decoding.batches(way) as batches:
        _finished(next(batches))
        announce("waiting for more batches")
        begun, clips = time.perf_counter(), 0
        for batch, _ in zip(batches, range(MOST_BATCHES), strict=False):
            _finished(batch)
            clips += int(batch.ok.sum())
            if time.perf_counter() - begun > SECONDS:
                break
        return clips / (time.perf_counter() - begun)


def _finished(batch: Batch) -> None:
    if batch.video.is_cuda:
        torch.cuda.synchronize(batch.video.device)


def _some_frames(clip: Clip, row: int) -> tuple[int, ...]:
    """Frames as a training draws them, one of them repeated."""
    frames = training_frames(clip.frames, FRAMES, np.random.default_rng(row)).tolist()
    return *frames[:2], *frames[1:]


@cache
def _cpu_frames(clip: Clip, frames: Sequence[int]) -> dict[int, np.ndarray]:
    """What a way is compared with; empty if the CPU cannot read the clip, which a training leaves out."""
    numbers = neighbours(frames, clip.frames)
    try:
        return dict(zip(numbers, decode_frames(clip.path, numbers), strict=True))
    except VideoError:
        return {}


def _damaged(wanted: Wanted, folder: Path) -> Wanted:
    """A copy of a clip whose container and first packet are whole, but not what the other packets hold."""
    clip, frames = wanted
    content = bytearray(fetch(clip.path) or b"" if is_remote(clip.path) else Path(clip.path).read_bytes())
    with open_video(clip.path) as container:
        for packet in islice(container.demux(video_stream(clip.path, container)), 1, None):
            if packet.size > HEADER and packet.pos is not None:
                content[packet.pos + HEADER : packet.pos + packet.size] = b"\xff" * (packet.size - HEADER)
    path = folder / Path(clip.path).name
    path.write_bytes(content)
    return clip._replace(path=str(path)), frames
