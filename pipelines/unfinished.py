"""Names for what is being written, so that a name that people know always stands for something whole."""

import os
import platform
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

HOST = re.sub(r"[^\w-]", "_", platform.node())
MARK = f".unfinished-{HOST}-"


@contextmanager
def unfinished(target: Path) -> Iterator[Path]:
    """A hidden name beside `target` for the file or folder that this process is about to write.

    To be renamed when it is whole; else it is removed. So is, when a process first writes to a folder, what processes
    of this machine had begun there and are gone, however they ended.
    """
    _remove_abandoned(target.parent)
    temporary = target.with_name(f".{target.stem}{MARK}{os.getpid()}{target.suffix}")
    try:
        yield temporary
    finally:
        _remove(temporary)


@cache
def _remove_abandoned(folder: Path) -> None:
    name_of_one = re.compile(rf"\..*{re.escape(MARK)}(\d+)(\.[^.]*)?", re.DOTALL)
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = name_of_one.fullmatch(entry.name)
            if found and not Path("/proc", found[1]).exists():
                _remove(folder / entry.name)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
