"""`tsam doctor`: what the machine has, what is used, and what is wrong with a remedy."""

import json

import pytest
import torch

from tests.helpers.processes import called
from tsam_dali.cli import doctor


def test_it_tells_what_there_is_and_what_is_used_for_what():
    text, data = called(doctor.main).stdout, json.loads(called(doctor.main, "--json").stdout)
    assert torch.__version__.startswith(data["versions"]["torch"])
    for name in ("versions", "ffmpeg", "CPU", "GPU", "driver", "NVDEC", "/dev/shm", "disk", "locale"):
        assert [line for line in text.splitlines() if line.startswith(name)], name
    for name in ("training", "decoding", "resizing", "network", "audio"):
        assert data["used"][name] in text
    assert ("float32" in data["used"]["network"]) != doctor.cpu_computes_in("bf16") or data["hardware"]["gpus"]
    assert max(map(len, text.splitlines()[2:])) <= 120
    assert "\x1b" not in text


GOOD = {
    "hardware": {"driver": "570.86.10", "gpus": ["A GPU"], "nvdec": True, "cuda": "13.0"},
    "system": {"ffmpeg": "7.1", "shared_memory_gb": (8.0, 8.0), "disk_gb": (50.0, 99.0), "temporary_gb": (50.0, 99.0)},
}
DALI = ["nvidia-dali-cuda120"]


@pytest.mark.parametrize(
    ("part", "key", "value", "expected"),
    [
        ("hardware", "gpus", [], "there is a driver (570.86.10), but PyTorch sees no GPU: it is built for CUDA 13.0"),
        ("hardware", "nvdec", False, "NVDEC's library is missing: in a container set NVIDIA_DRIVER_CAPABILITIES"),
        ("system", "ffmpeg", "", "there is no ffmpeg program"),
        ("system", "shared_memory_gb", (0.06, 0.06), "/dev/shm has 0.06 GB free"),
        ("system", "disk_gb", (0.5, 99.0), "0.50 GB are free for this folder"),
        ("system", "temporary_gb", (0.5, 99.0), "0.50 GB are free for temporary files"),
        ("", "", [], "DALI is not installed: pip install"),
        ("", "", [*DALI, "nvidia-dali-cuda130"], "nvidia-dali-cuda120 and nvidia-dali-cuda130 share a folder"),
    ],
)
def test_each_problem_is_a_line_with_a_remedy(monkeypatch, part, key, value, expected):
    found = {name: dict(values) for name, values in GOOD.items()}
    monkeypatch.setattr(doctor, "_dali", lambda: DALI)
    assert list(doctor._problems(found)) == []
    if part:
        found[part][key] = value
    else:
        monkeypatch.setattr(doctor, "_dali", lambda: value)
    (problem,) = doctor._problems(found)
    assert problem.startswith(expected)
    assert "\n" not in problem
