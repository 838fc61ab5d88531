"""Videos in an object store, s3://bucket/prefix, beside those in folders: their names, states and bytes.

Reached through fsspec and obstore (extra s3). Keys and addresses come from the environment: AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_DEFAULT_REGION, AWS_ENDPOINT_URL, or the role of the machine. Everything that goes wrong
there is an OSError, as with a file.
"""

import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeGuard

if TYPE_CHECKING:
    from obstore.store import RetryConfig

KEEP_BYTES = 64 << 20
"""Larger files are not kept in memory but read piece by piece."""
RETRIES: "RetryConfig" = {"max_retries": 5, "retry_timeout": timedelta(seconds=30)}

State = tuple[int, int | str]
"""Size of a file in bytes; and its time in ns, or of an object its ETag."""


def is_remote(path: str | Path) -> TypeGuard[str]:
    return isinstance(path, str) and path.startswith("s3://")


def location(folder: str, file: str) -> str:
    """Where a file lies that is given relative to a folder, or by its own address."""
    return file if is_remote(file) else os.path.join(folder, file)


def fetch(path: str) -> bytes | None:
    """All of an object in one request; None where it is larger than KEEP_BYTES."""
    try:
        with _errors(path) as store:
            data = store.cat_file(path, start=0, end=KEEP_BYTES + 1)
    except FileNotFoundError:
        raise
    except OSError:
        if state(path)[0]:
            raise
        data = b""  # an empty object has no range to read
    return data if len(data) <= KEEP_BYTES else None


def open_remote(path: str) -> BinaryIO:
    """An object as a file."""
    data = fetch(path)
    if data is not None:
        return io.BytesIO(data)
    with _errors(path) as store:
        return store.open(path, "rb")


def remote_names(folder: str) -> dict[str, State]:
    """Everything right below a prefix; nothing if there is no such prefix."""
    with _errors(folder) as store:
        try:
            entries = store.ls(folder, detail=True)
        except FileNotFoundError:
            return {}
    return {entry["name"].rpartition("/")[2]: _state(entry) for entry in entries if entry["type"] == "file"}


def remote_files(folder: str) -> Iterator[str]:
    """Everything below a prefix, relative to it."""
    with _errors(folder) as store:
        begin = folder.removeprefix("s3://") + "/"
        for name in store.find(folder):
            yield name.removeprefix("s3://").removeprefix(begin)


def states(paths: Iterable[str | Path]) -> dict[str | Path, State | None]:
    """The state of each file, by its path; see `each_state`."""
    paths = list(paths)
    return dict(zip(paths, each_state(paths), strict=True))


def each_state(paths: Iterable[str | Path]) -> Iterator[State | None]:
    """The state of each file in turn, None where there is none; folders of object stores are listed, each once."""
    listed: dict[str, dict[str, State]] = {}
    for path in paths:
        if is_remote(path):
            folder, _, name = path.rpartition("/")
            if folder not in listed:
                listed[folder] = remote_names(folder)
            yield listed[folder].get(name)
        else:
            try:
                status = os.stat(path)
            except (OSError, ValueError):  # ValueError: a name that cannot be one
                yield None
            else:
                yield status.st_size, status.st_mtime_ns


def state(path: str | Path) -> State:
    """The state of one file.

    Raises:
        OSError: there is none, or it cannot be reached.
    """
    if is_remote(path):
        with _errors(path) as store:
            return _state(store.info(path))
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns


def _state(entry: dict[str, Any]) -> State:
    return entry["size"], entry.get("e_tag") or ""


@contextmanager
def _errors(path: str) -> Iterator[Any]:
    """The file system of the object store; its own errors become OSErrors."""
    try:
        from obstore.exceptions import BaseError
        from obstore.fsspec import FsspecStore
    except ModuleNotFoundError as error:
        raise OSError('the package "obstore" is missing; pip install "tsam_dali[s3]"') from error
    try:
        yield FsspecStore("s3", client_options={"allow_http": True}, retry_config=RETRIES)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such object") from None
    except BaseError as error:
        reason = " ".join(str(error).partition("Debug source")[0].split())
        raise OSError(reason) from error
