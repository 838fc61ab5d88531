"""Names for what is being written, so that a name that people know always stands for something whole."""

import errno
import itertools
import os
import platform
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

HOST = re.sub(r"[^\w-]", "_", platform.node(), flags=re.ASCII)
MARK = f".unfinished.{HOST}-"  # torch calls the folder in a checkpoint by what stands before the last dot: something
LONGEST_ENDING = 16  # characters: those of files are shorter, a folder's name may hold a dot anywhere
_numbers = itertools.count()


@contextmanager
def unfinished(target: Path) -> Iterator[Path]:
    """A hidden name beside `target` for the file or folder that this process is about to write.

    To be renamed when it is whole; else it is removed. So is, when a process first writes to a folder, what processes
    of this machine had begun there and are gone, however they ended. The name has the ending of `target` and nothing
    else of it, so that whatever is a name can be written.
    """
    target = target.absolute()
    _remove_abandoned(target.parent)
    temporary = target.with_name(f"{MARK}{os.getpid()}-{next(_numbers)}{target.suffix[:LONGEST_ENDING]}")
    try:
        yield temporary
    finally:
        _remove(temporary)


def no_file_can_be_written(error: BaseException) -> bool:
    """Whether an error, or what it came from, is a full disk or one that takes no files: the next clip would meet it,
    too. All others are a single file's.
    """
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        return True
    return error.__cause__ is not None and no_file_can_be_written(error.__cause__)


@cache
def _remove_abandoned(folder: Path) -> None:
    name_of_one = re.compile(rf"{re.escape(MARK)}(\d+)-\d+(\.[^.]*)?", re.DOTALL)
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
