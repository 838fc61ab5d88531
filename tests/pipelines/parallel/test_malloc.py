"""Memory that is freed is used again, without new pages from the kernel, until it is given back."""

import platform

import pytest

from tests.helpers.processes import run

COUNT_FAULTS = """
import resource
from pipelines.parallel.malloc import keep_freed_memory

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

LEAVE_GAPS = """
from pathlib import Path
from pipelines.parallel.malloc import keep_freed_memory, return_freed_memory

def resident():  # MB
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 // 10**6

keep_freed_memory()
blocks = [b"x" * 2**20 for _ in range(200)]
del blocks[::2]
before = resident()
return_freed_memory()
print(before, resident())
"""

needs_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="tunes glibc's malloc")


@needs_glibc
def test_large_allocations_stop_faulting():
    done = run("-c", COUNT_FAULTS)
    assert done.returncode == 0, done.stderr
    default, kept = map(int, done.stdout.split())
    assert default > 1000
    assert kept * 20 < default


@needs_glibc
def test_gaps_between_what_is_kept_can_be_given_back():
    done = run("-c", LEAVE_GAPS)
    assert done.returncode == 0, done.stderr
    before, after = map(int, done.stdout.split())
    assert before - after > 90
