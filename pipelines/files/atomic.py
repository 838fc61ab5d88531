"""Temporary names for what is being written, so that the final name always stands for something complete."""

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
MARK = f".unfinished.{HOST}-"  # not empty before the last dot: torch names the folder in a checkpoint so
LONGEST_ENDING = 16  # characters: those of files are shorter, a folder's name may hold a dot anywhere
_numbers = itertools.count()


@contextmanager
def temporary_path(target: Path) -> Iterator[Path]:
    """A hidden name beside `target` for the file or folder that this process is about to write.

    To be renamed when it is complete; else it is removed. When a process first writes to a folder, it also removes what
    processes of this machine that are gone have left there. The name has the ending of `target` and nothing else of it,
    so that a target with any valid name can be written.
    """
    target = target.absolute()
    _remove_abandoned(target.parent)
    temporary = target.with_name(f"{MARK}{os.getpid()}-{next(_numbers)}{target.suffix[:LONGEST_ENDING]}")
    try:
        yield temporary
    finally:
        _remove(temporary)


def fault_of_one(error: Exception) -> str:
    """The message for a clip that failed, while others can still be processed.

    Raises:
        InputError: the disk is full, or takes no files: the next clip would fail, too.
    """
    text = str(error)
    if isinstance(error, OSError) and error.strerror and error.filename:
        text = f"{error.filename2 or error.filename}: {error.strerror}"  # not its temporary name
    elif isinstance(error, UnicodeError) or not isinstance(error, OSError | ValueError):
        text = f"{type(error).__name__}: {error}"
    if _takes_no_files(error):
        raise InputError([text]) from error
    return text


def _takes_no_files(error: BaseException) -> bool:
    """Whether the error, or what caused it, is a disk that is full or read-only."""
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        return True
    return error.__cause__ is not None and _takes_no_files(error.__cause__)


@cache
def _remove_abandoned(folder: Path) -> None:
    name_of_one = re.compile(rf"{re.escape(MARK)}(\d+)-\d+(\.[^.]*)?", re.DOTALL)
    if not Path("/proc/self").exists():  # not Linux: which processes are gone is not known
        return
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
    """Make renames in a folder survive a power failure."""
    if not hasattr(os, "O_DIRECTORY"):  # Windows opens no folders
        return
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
