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

from pipelines.files.errors import InputError

HOST = re.sub(r"[^\w-]", "_", platform.node(), flags=re.ASCII)
MARK = f".unfinished.{HOST}-"  # torch calls the folder in a checkpoint by what stands before the last dot: something
LONGEST_ENDING = 16  # characters: those of files are shorter, a folder's name may hold a dot anywhere
_numbers = itertools.count()


@contextmanager
def temporary_path(target: Path) -> Iterator[Path]:
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


def fault_of_one(error: Exception) -> str:
    """What to tell of a clip that failed; the others can be done.

    Raises:
        InputError: the disk is full, or takes no files: the next clip would fail, too.
    """
    text = str(error)
    if isinstance(error, OSError) and error.strerror and error.filename:
        text = f"{error.filename2 or error.filename}: {error.strerror}"  # not by which name it was to get there
    elif isinstance(error, UnicodeError) or not isinstance(error, OSError | ValueError):
        text = f"{type(error).__name__}: {error}"
    if _takes_no_files(error):
        raise InputError([text]) from error
    return text


def _takes_no_files(error: BaseException) -> bool:
    """Whether an error says so, or what it came from."""
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        return True
    return error.__cause__ is not None and _takes_no_files(error.__cause__)


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


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`; what was written there is synced and takes the name `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with temporary_path(path) as temporary:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    """Make names that were given in a folder outlast a loss of power."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
