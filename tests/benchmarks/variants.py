"""Variants for the tests of benchmarks/harness/measure.py; light, as each runs in a process of its own."""

import os
import subprocess
import time

from benchmarks.harness.measure import MissingVariantError


class Counter:
    """A variant that counts, fails or ends."""

    def __init__(self, start):
        self.count = start

    def add(self, number):
        self.count += number
        return self.count, os.getpid(), sorted(os.sched_getaffinity(0))

    def fail(self):
        raise KeyError("nothing here")

    def start_child(self):
        return subprocess.Popen(["sleep", "60"]).pid

    def hang(self):
        time.sleep(60)

    def end(self):
        os._exit(3)


def unavailable():
    raise MissingVariantError("not installed")
