"""Run under torchrun by test_shift.py: one backward pass of a shifted block under DDP; writes weights and gradients.

usage: torchrun -m tests.ranks.shift OUT_FOLDER
"""

import sys
from pathlib import Path

import torch

from tests.tsam_dali.model.test_shift import features, shifted_block
from tsam_dali import distributed


def main() -> None:
    out = Path(sys.argv[1])
    job = distributed.start("cpu")
    torch.manual_seed(job.rank)  # DDP gives all ranks the weights of rank 0
    block = shifted_block(channels=64)
    parallel = torch.nn.parallel.DistributedDataParallel(block)
    x = features(4, 5, 64, "channels_last", torch.float32).detach()
    parallel(x.chunk(2)[job.rank].requires_grad_()).square().mean().backward()
    if job.rank == 0:
        torch.save(block.state_dict(), out / "weights")
    torch.save({name: value.grad for name, value in block.named_parameters()}, out / f"gradients_{job.rank}")
    distributed.stop()


if __name__ == "__main__":
    main()
