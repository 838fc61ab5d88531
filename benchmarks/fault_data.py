"""A data set with broken files: is training the same as on the good ones alone?"""

from typing import Any

import numpy as np
import torch

from benchmarks.fault_runs import Runs

CLIPS, BROKEN = 24, 2  # of the training list; the list is too small for 1 %
TOLERANCE = 1e-5  # relative: the sums over the clips have another order
SETTINGS = {
    "training_param.batch_norm": "frozen",
    "training_param.mixup": 0,
    "model.dropout": 0,
    "pipeline.max_bad_fraction": 0.5,
}


def broken_files(given: Runs, number: int) -> dict[str, Any]:
    """Train on a list whose last files are cut until they cannot be read, and on the list without them.

    One batch holds all clips, so both runs see the same good ones in every step. BatchNorm has fixed statistics: black
    clips, which stand in for broken ones, would count in those of a batch.
    """
    data, rng = given.folder / "data", np.random.default_rng([3, number])
    lines = (data / "training.txt").read_text().splitlines()
    whole = {data / f"videos/{line.split()[0]}.mp4": b"" for line in lines[-BROKEN:]}
    whole = {path: path.read_bytes() for path in whole}
    lists = {"with_broken": lines, "good": lines[:-BROKEN]}
    states = {}
    try:
        for path, content in whole.items():
            path.write_bytes(content[: rng.integers(len(content) // 2)])
        for name, kept in lists.items():
            (data / f"{name}.txt").write_text("\n".join(kept) + "\n")
            own = {"dataset.file_train_list": f"{name}.txt", "training_param.batch_size": len(kept)}
            states[name] = given.finish(f"{name}_{number}", settings=SETTINGS | own)
    finally:
        for path, content in whole.items():
            path.write_bytes(content)
    weights = [state["model"] for state in states.values()]
    counted = [state["history"][-1]["training"]["samples"] for state in states.values()]
    far = max(_distance(weights[0][name], weights[1][name]) for name in weights[1])
    same = far <= TOLERANCE and counted == [CLIPS - BROKEN] * 2
    return {"broken": BROKEN, "counted": counted[0], "largest_difference": far, "same": same}


def _distance(one: torch.Tensor, other: torch.Tensor) -> float:
    """Relative to the length of `other`."""
    return float((one.double() - other.double()).norm() / other.double().norm().clamp(min=1e-12))
