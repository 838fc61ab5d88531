"""How many decode processes and threads a rank has, and which GPU."""

import os

import pytest
import torch

from pipelines.hardware import dali_threads, decode_workers, gpu_number
from pipelines.ways_in import DecodedVideo, PrunedVideo
from tsam_dali.config import config_from_dict


def settings(num_workers=8, **pipeline):
    training = {"num_workers": num_workers}
    return config_from_dict({"dataset": {"data_dir": "x"}, "training_param": training, "pipeline": pipeline})


@pytest.mark.parametrize(("cores", "ranks", "workers"), [(16, 1, 8), (16, 2, 4), (4, 2, 2), (4, 3, 1), (2, 4, 1)])
def test_processes_are_those_of_the_machine(monkeypatch, cores, ranks, workers):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: range(cores))
    assert decode_workers(settings(), ranks) == workers
    assert decode_workers(settings(workers=5), ranks) == 5


@pytest.mark.parametrize("ranks", [1, 4])
def test_no_processes_at_all_may_be_asked_for_in_two_ways(ranks):
    assert decode_workers(settings(num_workers=0), ranks) == 0
    assert decode_workers(settings(workers=0), ranks) == 0
    assert decode_workers(settings(num_workers=0, workers=1), ranks) == 1


def test_threads_and_gpu():
    cpu, gpu = torch.device("cpu"), torch.device("cuda", 1)
    assert [dali_threads(DecodedVideo(), workers, cpu) for workers in (0, 3)] == [1, 3]
    assert [dali_threads(PrunedVideo(), 2, device) for device in (cpu, gpu)] == [2, 8]
    assert (gpu_number(cpu), gpu_number(gpu)) == (None, 1)
