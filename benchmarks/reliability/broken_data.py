"""A data set with 1 % broken files: is training the same as on the good ones alone?"""

import itertools
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

from benchmarks.reliability.killed_runs import Runs

CLIPS, BROKEN = 200, 2  # of the training list; one of each kind of damage
LENGTH, HEADER = 4, 16  # bytes before a unit of H.264; bytes of it that stay
TOLERANCE = 1e-5  # relative: the sums over the clips have another order
SETTINGS = {"training_param.batch_norm": "frozen", "training_param.mixup": 0, "model.dropout": 0}


def broken_files(given: Runs, number: int) -> dict[str, Any]:
    """Train on a list whose last two files are broken, and on the list without them.

    One is cut, so the index leaves it out when training starts. The other one's damage shows only when it is decoded: a
    black clip that weighs nothing stands in for it. One batch holds all clips, so both runs see the same good ones in
    every step. BatchNorm has fixed statistics: black clips would count in those of a batch.
    """
    data, rng = given.folder / "data", np.random.default_rng([3, number])
    lines = _copies(data, f"copies_{number}")
    cut, spoiled = (data / f"videos/{line.split()[0]}.mp4" for line in lines[-BROKEN:])
    content = cut.read_bytes()
    cut.write_bytes(content[: rng.integers(len(content) // 2)])
    spoil(spoiled)
    states = {}
    for name, kept, batch in (("with_broken", lines, CLIPS - 1), ("good", lines[:-BROKEN], CLIPS - BROKEN)):
        (data / f"{name}.txt").write_text("\n".join(kept) + "\n")
        own = {"dataset.file_train_list": f"{name}.txt", "training_param.batch_size": batch}
        states[name] = given.finish(f"{name}_{number}", settings=SETTINGS | own)
    weights = [state["model"] for state in states.values()]
    counted = [state["history"][-1]["training"]["samples"] for state in states.values()]
    far = max(_distance(weights[0][name], weights[1][name]) for name in weights[1])
    same = far <= TOLERANCE and counted == [CLIPS - BROKEN] * 2
    return {"broken": BROKEN, "counted": counted[0], "largest_difference": far, "same": same}


def _copies(data: Path, folder: str) -> list[str]:
    """Copy the training clips until there are enough, to a new folder; the lines of their list."""
    (data / "videos" / folder).mkdir()
    clips = [line.split() for line in (data / "training.txt").read_text().splitlines()]
    lines = []
    for i, (clip_id, label) in zip(range(CLIPS), itertools.cycle(clips), strict=False):
        (data / f"videos/{folder}/{i}.mp4").write_bytes((data / f"videos/{clip_id}.mp4").read_bytes())
        lines.append(f"{folder}/{i} {label}")
    return lines


def spoil(path: Path) -> None:
    """Zero the coded frames behind their headers, but for the first, which the index decodes."""
    with av.open(path) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
        places = [(start, start + size) for start, size in packets if start is not None]
    content = bytearray(path.read_bytes())
    for place, end in places[1:]:
        while place < end:  # a packet is a row of units, each after its length
            start, place = place + LENGTH, place + LENGTH + int.from_bytes(content[place : place + LENGTH], "big")
            content[start + HEADER : place] = bytes(max(place - start - HEADER, 0))
    path.write_bytes(content)


def _distance(one: torch.Tensor, other: torch.Tensor) -> float:
    """Relative to the length of `other`."""
    return float((one.double() - other.double()).norm() / other.double().norm().clamp(min=1e-12))
