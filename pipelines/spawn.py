"""Starting processes that do without the program's main module."""

import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_main_module() -> Iterator[None]:
    """Within it, spawned processes start without the program's main module.

    A spawned process imports the main module of its parent again. Workers need nothing of it: this saves them importing
    torch and lets scripts do without an `if __name__ == "__main__"`.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
