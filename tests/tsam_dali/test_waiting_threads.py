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


@pytest.mark.parametrize(
    "arguments", [("tsam_dali.train", "--run_id", "/"), ("tsam_dali.export", "--checkpoint", __file__, "a.pt2")]
)
def test_every_command_comes_by(arguments):
    """Mistakes that are found after PyTorch has been loaded."""
    _, libgomp = shown(["-m", *arguments])
    assert "GOMP_SPINCOUNT = '10000'" in libgomp
