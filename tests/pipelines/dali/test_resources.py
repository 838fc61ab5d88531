"""How many decode processes and threads a rank has, and which GPU; which instructions a result is of."""

import json
import os
import subprocess
import sys

import pytest
import torch

from benchmarks.harness.markdown import hardware
from pipelines.dali.inputs import DecodedVideo, PrunedVideo
from pipelines.dali.resources import dali_threads, decode_workers, gpu_number
from tsam_dali.config.load import config_from_dict
from tsam_dali.model.precision import cpu_computes_in


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


@pytest.mark.parametrize(
    ("limit", "formats"),
    [
        (None, ["off", "bf16", "fp16"]),
        ("ALL", ["off", "bf16", "fp16"]),
        ("AVX512_CORE_AMX", ["off", "bf16", "fp16"]),
        ("AVX512_CORE_BF16", ["off", "bf16"]),
        ("AVX512_CORE", ["off"]),
        ("avx2", ["off"]),
    ],
)
@pytest.mark.parametrize("name", ["ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"])
def test_instructions_that_onednn_may_not_use_do_not_count(monkeypatch, name, limit, formats):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True, "avx512_fp16": True})
    for variable in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):
        monkeypatch.delenv(variable, raising=False)
    if limit:
        monkeypatch.setenv(name, limit)
    assert [amp for amp in ("off", "bf16", "fp16") if cpu_computes_in.__wrapped__(amp)] == formats


def test_a_result_says_which_instructions_its_cpu_has_and_which_were_used():
    code = "import json; from tsam_dali.cli.provenance import provenance; print(json.dumps(provenance()['hardware']))"
    masks = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | masks, capture_output=True, text=True, check=True
    )
    machine = json.loads(done.stdout)
    assert machine["instructions_used"] == {"torch": "AVX2", "onednn_limit": "AVX2"}
    assert "avx2" in machine["instructions"]


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({}, "a CPU, 2 cores, no GPU"),
        ({"instructions": ["avx2"]}, "a CPU (AVX2), 2 cores, no GPU"),
        ({"instructions": ["avx2", "avx512_f", "amx_bf16"]}, "a CPU (AVX2, AVX-512, bf16, AMX), 2 cores, no GPU"),
        (
            {
                "instructions": ["avx2", "avx512_f", "avx512_bf16"],
                "instructions_used": {"torch": "AVX2", "onednn_limit": "AVX2"},
            },
            "a CPU (AVX2, AVX-512, bf16; PyTorch used AVX2; oneDNN at most AVX2), 2 cores, no GPU",
        ),
        (
            {
                "instructions": ["avx2", "avx512_f"],
                "instructions_used": {"torch": "AVX512", "onednn_limit": ""},
            },
            "a CPU (AVX2, AVX-512), 2 cores, no GPU",
        ),
    ],
)
def test_documents_name_the_instruction_sets_that_a_result_knows(known, expected):
    assert hardware({"hardware": {"cpu": "a CPU", "cores": 2, "gpus": []} | known}) == expected
