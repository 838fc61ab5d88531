"""Run under torchrun by test_task_sums.py: scores of labels and of numbers and a gradient of 1 - CCC; writes what each
rank found.

usage: torchrun -m tests.ranks.task_sums OUT_FOLDER
"""

import sys
from pathlib import Path

import torch

from pipelines.dataset.clips import Clip
from pipelines.dataset.targets import Labels, Number, Numbers
from pipelines.loader import Batch
from tsam_dali import distributed
from tsam_dali.distributed import Job
from tsam_dali.training.loss import ccc_losses
from tsam_dali.training.tasks import LabelTask, NumberTask

CLIPS, BAD = 12, (2, 7)
NUMBERS = Numbers((Number(name="v", range=(-1, 1)), Number(name="s", range=(0, 90))))


def found(job: Job) -> tuple[dict, torch.Tensor]:
    """Scores of all clips, and the gradient of this rank's."""
    draws = torch.Generator().manual_seed(0)
    logits, target = torch.randn(CLIPS, 2, generator=draws), torch.rand(CLIPS, 2, generator=draws)
    clips = [Clip(str(i), -1, "", 1, 1, 1, "", target=f"{v!r},{s!r}") for i, (v, s) in enumerate(target.tolist())]
    row = torch.arange(CLIPS).chunk(job.world)[job.rank]
    ok = torch.tensor([int(r) not in BAD for r in row])
    task = NumberTask(NUMBERS, "ccc")
    sums = task.validation_sums(clips, job.device)
    sums.add(task.plain_losses(logits[row], target[row]), logits[row], Batch(logits[row], None, target[row], row, ok))
    values = logits[row].requires_grad_()
    losses = ccc_losses(values, target[row], ok)
    (torch.where(ok, losses, 0).sum() / (CLIPS - len(BAD))).backward()
    assert values.grad is not None
    return sums.reduced().result(), values.grad


def labelled() -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and targets (0 or 1) of all clips, (CLIPS, 3)."""
    draws = torch.Generator().manual_seed(1)
    return torch.randn(CLIPS, 3, generator=draws), (torch.rand(CLIPS, 3, generator=draws) < 0.4).float()


def label_scores(job: Job) -> dict:
    """Scores of all clips, and what a training keeps of them."""
    logits, target = labelled()
    texts = [",".join(str(k) for k, has in enumerate(row) if has) or "-" for row in target.tolist()]
    clips = [Clip(str(i), -1, "", 1, 1, 1, "", target=text) for i, text in enumerate(texts)]
    row = torch.arange(CLIPS).chunk(job.world)[job.rank]
    ok = torch.tensor([int(r) not in BAD for r in row])
    task, batch = LabelTask(Labels(("a", "b", "c"))), Batch(logits[row], None, target[row], row, ok)
    validated, trained = task.validation_sums(clips, job.device), task.training_sums(job.device)
    for sums in (validated, trained):
        sums.add(task.plain_losses(logits[row], target[row]), logits[row], batch)
        sums.reduced()  # leaves those of this rank as they are, for the rest of the epoch
    return validated.reduced().result() | {"training": trained.reduced().result()}


def main() -> None:
    job = distributed.start("cpu")
    torch.save((*found(job), label_scores(job)), Path(sys.argv[1]) / str(job.rank))
    distributed.stop()


if __name__ == "__main__":
    main()
