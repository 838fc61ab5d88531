"""Freed memory stays with the process.

glibc takes memory for every large tensor from the kernel and gives it back when the tensor is freed, so that each step
of training on a CPU pays for new pages, filled with zeros by the kernel, again and again. Kept memory is used again.
"""

import ctypes
import platform

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # from malloc.h; see mallopt(3)


def return_freed_memory() -> None:
    """Give back, once, every page that holds nothing. For when large buffers of long life are replaced by others: they
    never fit the same gaps again, so the kept memory would grow a little each time.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def keep_freed_memory() -> None:
    """From now on, keep what is freed for the next tensor; child processes are not changed.

    No allocation is a mapping of its own any more, and the top of the heap is never cut. (M_MMAP_THRESHOLD would do as
    well, but glibc before 2.35 limits it to 32 MB.) Does nothing with another C library.
    """
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, -1)
