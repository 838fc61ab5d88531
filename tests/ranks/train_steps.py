"""Run under torchrun by test_train_steps.py: train a tiny network on this rank's part of random batches.

usage: torchrun -m tests.ranks.train_steps OUT_FOLDER
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pipelines.loader import Batch
from tsam_dali import distributed
from tsam_dali.cli.common import friendly_errors
from tsam_dali.config.load import Config, config_from_dict
from tsam_dali.distributed import Job
from tsam_dali.runs.folder import RunFolder
from tsam_dali.runs.initial_network import resumed_state
from tsam_dali.training.engine import train_one_epoch
from tsam_dali.training.nan_guard import NonFiniteError
from tsam_dali.training.progress import Progress
from tsam_dali.training.state import TrainState, build_train_state
from tsam_dali.weights.checkpoint import CheckpointError, save_checkpoint

CLIPS = 12  # of a global batch
SPOILED = 1, 5  # a step, and a row of its batch, which lies in rank 1's part
OWN_ERROR = "what only rank 1 meets"


class Network(nn.Module):
    """Video (B, 2, 3, 4, 4) -> logits (B, 3); DDP's buckets follow neither the order of its layers nor their sizes."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.head = nn.Linear(50, 3)
        self.first, self.second = nn.Linear(96, 70), nn.Linear(70, 50)

    def forward(self, video, audio):
        return self.head(self.second(self.first(video.flatten(1)).relu()).relu())


def settings(**training: Any) -> Config:
    training = {"amp": "off", "batch_size": CLIPS, "epochs": 2, **training}
    return config_from_dict({"dataset": {"data_dir": "."}, "training_param": training})


def batches(job: Job, steps: range) -> list[Batch]:
    """This rank's parts."""
    found = []
    for step in steps:
        video = torch.randn(CLIPS, 2, 3, 4, 4, generator=torch.Generator().manual_seed(step))
        rows = torch.arange(CLIPS)
        whole = Batch(video, None, rows % 3, rows, torch.ones(CLIPS, dtype=torch.bool))
        found.append(Batch(*(None if tensor is None else tensor.chunk(job.world)[job.rank] for tensor in whole)))
    return found


def train(train_state: TrainState, steps: range) -> dict[str, Any]:
    """The state after these steps."""
    own = batches(train_state.job, steps)
    train_one_epoch(train_state, Progress(own, "", clips_per_step=CLIPS, show=False), lambda step: False)
    more = {"epoch_sums": train_state.metrics.reduced().state_dict(), "config": train_state.config.to_dict()}
    return train_state.state_dict() | more


def train_state_of(job: Job, config: Config, state: dict[str, Any] | None = None) -> TrainState:
    network = Network()
    if state:
        network.load_state_dict(state["model"])
    return build_train_state(network, config, job, steps_per_epoch=5, state=state)


def continued(job: Job, config: Config) -> dict[str, Any]:
    """The state after 5 steps of which the last 2 are made by another TrainState."""
    state = train(train_state_of(job, config), range(3))
    return train(train_state_of(job, config, state), range(3, 5))


def stopped(job: Job) -> tuple[int, str, list[int]]:
    """Steps done, the error and its rows, where a clip of rank 1 is not finite."""
    train_state, own = train_state_of(job, settings()), batches(job, range(5))
    step, row = SPOILED
    own[step].video[own[step].row == row] = float("nan")

    def step_hook(step):
        train_state.nan_guard.add(train_state.step - 1, step.norm, step.losses, step.batch.row)
        return False

    try:
        train_one_epoch(train_state, Progress(own, "", clips_per_step=CLIPS, show=False), step_hook)
    except NonFiniteError as error:
        return train_state.step, str(error), error.rows
    return train_state.step, "", []


def not_shared(job: Job, out: Path, state: dict[str, Any]) -> list[str]:
    """What is said of going on from a folder of each rank: the same checkpoint, other weights, none on rank 2."""
    config = settings()
    arguments = argparse.Namespace(resume="auto", force=True)
    said = []
    for name in ("same", "weights", "none"):
        folder = RunFolder(config, None)
        folder.checkpoints.path = out / f"{name}_{job.rank}"
        model = {key: tensor + job.rank * (name == "weights") for key, tensor in state["model"].items()}
        if name != "none" or job.rank < 2:
            save_checkpoint(folder.checkpoints.path / "step_00000005", state | {"model": model, "history": []})
        try:
            found = resumed_state(arguments, config, {}, folder)
            said.append(f"step {found['step']}")
        except CheckpointError as error:
            said.append(str(error))
    return said


@friendly_errors
def main() -> None:
    out = Path(sys.argv[1])
    job = distributed.start("cpu")
    whole, in_parts = settings(), settings(accumulate=2)
    found = {
        "whole": train(train_state_of(job, whole), range(5)),
        "continued": continued(job, whole),
        "in_parts": train(train_state_of(job, in_parts), range(5)),
        "in_parts_continued": continued(job, in_parts),
    }
    found |= {"stopped": stopped(job), "not_shared": not_shared(job, out, found["whole"])}
    torch.save(found, out / f"{job.rank}")
    distributed.of_all_ranks("saved")
    if job.rank == 1:
        raise ValueError(OWN_ERROR)
    distributed.of_all_ranks("never on all")


if __name__ == "__main__":
    main()
