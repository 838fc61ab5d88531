"""Makes a Python process, and those that it starts, one of a system without DALI and without what only Linux has.

Python imports this module at its start if its folder is on PYTHONPATH.
"""

import builtins
import ctypes
import io
import os
import signal
import sys

MISSING = {
    os: ("fork", "sched_getaffinity", "memfd_create", "pread", "posix_fadvise", "O_DIRECTORY", "statvfs"),
    signal: ("SIGUSR1", "SIGBUS", "pthread_sigmask", "sigwaitinfo"),
}


def without_proc(function):
    def called(path, *arguments, **options):
        if str(path).startswith("/proc"):
            raise FileNotFoundError(2, "there is no such folder here", path)
        return function(path, *arguments, **options)

    return called


for name in ("nvidia", "fcntl", "resource"):
    sys.modules[name] = None
for module, names in MISSING.items():
    for name in names:
        delattr(module, name)
os.stat, builtins.open, io.open = map(without_proc, (os.stat, open, open))


class Library(ctypes.CDLL):
    def __init__(self, name, *arguments, **options):
        if name is None:
            raise TypeError("the program itself cannot be opened as a library")
        super().__init__(name, *arguments, **options)


ctypes.CDLL = Library
