"""Memory that is freed is used again, without new pages from the kernel."""

import platform

import pytest

from tests.processes import run

COUNT_FAULTS = """
import resource
from tsam_dali.memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        b"x" * 2**26  # allocated, written and freed
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

default = faults()
keep_freed_memory()
faults()  # the first one still needs pages
print(default, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="tunes glibc's malloc")
def test_large_allocations_stop_faulting():
    done = run("-c", COUNT_FAULTS)
    assert done.returncode == 0, done.stderr
    default, kept = map(int, done.stdout.split())
    assert default > 1000
    assert kept * 20 < default
