"""An ordinary user's rights, for tests that may run as root, whom no permission stops."""

import ctypes
from collections.abc import Iterator

import pytest

VERSION_3 = 0x20080522
READ_AND_WRITE_ALL = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, capabilities(7)


@pytest.fixture
def ordinary_rights() -> Iterator[None]:
    """During a test the permissions of files and folders hold for this thread, not for its children."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(VERSION_3, 0)
    capabilities = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; then the upper halves of the three
    assert libc.capget(header, capabilities) == 0
    effective = capabilities[0]
    capabilities[0] = effective & ~READ_AND_WRITE_ALL
    assert libc.capset(header, capabilities) == 0
    try:
        yield
    finally:
        capabilities[0] = effective
        assert libc.capset(header, capabilities) == 0
