"""How OpenMP's threads wait for each other: set before torch loads its libgomp, unless the user has said it."""

import os
import subprocess
import sys

import pytest

from tests.helpers.processes import ROOT

SHOW = """
import os, sys
assert "torch" not in sys.modules
import tsam_dali
import torch
print(os.environ.get("OMP_WAIT_POLICY"), os.environ.get("GOMP_SPINCOUNT"))
"""


def shown(code, **environment):
    """Standard output, and the lines with which libgomp says what it has read when it was loaded."""
    rest = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    words = [sys.executable, *code]
    variables = rest | {"OMP_DISPLAY_ENV": "VERBOSE"} | environment
    done = subprocess.run(words, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=240)
    libgomp = [line.strip() for line in done.stderr.splitlines() if "WAIT_POLICY" in line or "SPINCOUNT" in line]
    return done.stdout.strip(), " ".join(libgomp)


@pytest.mark.parametrize(
    ("environment", "expected", "read"),
    [
        ({}, "None 10000", "GOMP_SPINCOUNT = '10000'"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE None", "OMP_WAIT_POLICY = 'ACTIVE'"),
        ({"GOMP_SPINCOUNT": "777"}, "None 777", "GOMP_SPINCOUNT = '777'"),
    ],
)
def test_torch_reads_it_and_a_users_own_wins(environment, expected, read):
    said, libgomp = shown(["-c", SHOW], **environment)
    assert said == expected
    assert read in libgomp


@pytest.mark.parametrize("command", ["tsam_dali.evaluate", pytest.param("tsam_dali.export", marks=pytest.mark.slow)])
def test_every_command_comes_by(command, tmp_path):
    """A mistake that only PyTorch finds."""
    (tmp_path / "damaged").write_bytes(b"PK\3\4" + bytes(100))
    output = ["a.pt2"] if command == "tsam_dali.export" else []
    _, libgomp = shown(["-m", command, "--checkpoint", tmp_path / "damaged", *output])
    assert "GOMP_SPINCOUNT = '10000'" in libgomp
