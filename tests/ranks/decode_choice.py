"""Run under torchrun by test_decode_choice.py: print with what this rank decodes, if rank 0's check finds `gpu`."""

from dataclasses import replace

import torch

from pipelines.check_gpu.choice import Choice
from tests.helpers.loading import settings
from tsam_dali import distributed
from tsam_dali.runs import gpu_check
from tsam_dali.runs.decode_choice import choose_decode


def main() -> None:
    job = replace(distributed.start("cpu"), device=torch.device("cuda"))

    def check(*_):
        assert job.is_main
        return Choice("gpu", "it is right")

    gpu_check.check = check
    config, choice = choose_decode(settings(), job, {}, 2, None)
    print(f"rank {job.rank}: {config.pipeline.decode}, {choice['reason']}\n", end="", flush=True)
    distributed.stop()


if __name__ == "__main__":
    main()
