"""The index of a data set: what is known about each video, kept beside the data for later starts.

A record is used again for as long as size and time of its file are unchanged. Videos are probed in child processes with
limits on time and memory: one that hangs or crashes a decoder gets a status like any other fault.
"""

import logging
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from pipelines.dataset.clips import Dataset
from pipelines.dataset.media_files import find_videos
from pipelines.decode.probe import Checked, probe_video
from pipelines.files.errors import ListError
from pipelines.files.records import (
    Record,
    append,
    is_whole,
    lock,
    merge_parts,
    named_error,
    open_to_append,
    read_records,
    write_records,
)
from pipelines.files.shard import Shard
from pipelines.files.storage import location, states
from pipelines.parallel.pool import map_limited_on_dask
from pipelines.parallel.sandbox import FAULTS, Fault, Limits, map_limited

INDEX_NAME = "index.jsonl"
VERSION = 3
"""Of the content of a record. Records of another version are not used."""

ADVICE = {
    "timeout": "if it is just long, run tools/index_videos.py with a larger --timeout",
    "out_of_memory": "if it is just large, run tools/index_videos.py with a larger --memory",
    "crashed": "convert it, or leave it out of the list",
    "failed": "convert it, or leave it out of the list",
}
"""For each status of a `Fault`."""

log = logging.getLogger(__name__)


def index_videos(
    dataset: Dataset,
    clip_ids: Sequence[str],
    workers: int,
    *,
    checked: Checked = "demuxed",
    limits: Limits = Limits(),  # noqa: B008, it is frozen
    again: Collection[str] = ("unreadable",),
    probe: Callable[..., dict[str, Any]] = probe_video,
    shard: Shard | None = None,
    dask: str = "",
    required: bool = False,
) -> dict[str, Record]:
    """The records of the given clips, by id, in their order; new and changed files are probed, with a progress bar.

    A record holds id, file (relative to data_dir, or an address), size (bytes), mtime_ns (of an object: its ETag),
    version, checked (how far, see `Checked`), status ("ok" or a named fault); then `VideoInfo`'s fields if ok, else
    reason. Each is kept as soon as it is there.

    Args:
        dataset: where the videos are.
        clip_ids: of which videos.
        workers: child processes.
        checked: how far to check; what was checked further counts, too.
        limits: of each file.
        again: statuses whose files are probed again, as they may depend on more than the file.
        probe: `probe_video`, or another function of a path and `checked`.
        shard: new records go into its part file; the clips are chosen by the caller.
        dask: address of the scheduler of a Dask cluster whose workers probe, in place of child processes here.
        required: records must be saved; else a warning is enough where they cannot be.

    Raises:
        ListError: naming every id that has no file.
        InputError: the index is required, and cannot be written.
    """
    files, missing = find_videos(dataset, clip_ids)
    if missing:
        raise ListError(missing)
    path = dataset.root / INDEX_NAME
    if shard is None:
        take_in_parts(path)
    known = read_index(path)
    records: dict[str, Record] = {}
    todo: dict[str, Record] = {}
    place_of = {file: location(dataset.data_dir, file) for file in files.values()}
    found = states(place_of.values())
    for clip_id, file in files.items():
        place = place_of[file]
        size, mtime_ns = found[place] or (0, 0)  # no file at the end of a link
        record = known.get(file)
        if (
            record is None
            or record.get("size") != size
            or record.get("mtime_ns") != mtime_ns
            or record.get("version") != VERSION
            or not _checked_enough(record, checked)
            or record.get("status") in again
        ):
            todo[place] = {"id": clip_id, "file": file, "size": size, "mtime_ns": mtime_ns}
            todo[place] |= {"version": VERSION, "checked": checked}
        else:
            records[clip_id] = record
    if todo:
        own = shard.part(path) if shard else path
        function = partial(probe, checked=checked)
        if dask:
            results = map_limited_on_dask(function, list(todo), limits, dask)
        else:
            results = map_limited(function, list(todo), workers, limits)
        with closing(results), index_writer(own, required) as add:
            for place, result in tqdm(results, total=len(todo), desc="indexing videos", unit="clip"):
                record = todo[place] | (_of_fault(place, result) if isinstance(result, Fault) else result)
                add(record)
                records[record["id"]] = record
        compact_index(own)
    return {clip_id: records[clip_id] for clip_id in files}


def _checked_enough(record: Record, checked: Checked) -> bool:
    """Whether a file was checked as far as asked for; a check that a limit ended says nothing about a shorter one."""
    found = record.get("checked")
    return found == checked or (found == "decoded" and record.get("status") not in FAULTS)


def _of_fault(place: str, fault: Fault) -> Record:
    return {"status": fault.status, "reason": f"{place}: {fault.reason}; {ADVICE[fault.status]}"}


def read_index(path: Path) -> dict[str, Record]:
    """The latest record of each file, by its name relative to data_dir; empty where there is no index."""
    return read_records(path, ("file",), is_whole)


@contextmanager
def index_writer(path: Path, required: bool = False) -> Iterator[Callable[[Record], None]]:
    """Gives the function that adds a record, which is kept whatever happens to this process afterwards. If the file
    cannot be written, one warning is logged, unless it is `required`.

    Raises:
        InputError: it is required, and cannot be written.
    """
    with ExitStack() as stack:
        file = None

        def add(record: Record) -> None:
            nonlocal file
            try:
                file = file or stack.enter_context(open_to_append(path))
                append(file, record)
            except OSError as error:
                if required:
                    with named_error(path):
                        raise
                log.warning("%s: cannot be saved (%s); it will be made again next time", path, error.strerror)
                file = stack.enter_context(open(os.devnull, "wb"))

        yield add


def take_in_parts(path: Path) -> None:
    """Merge the records of shards into the index; if it cannot be written, they stay in their files."""
    with suppress(OSError):
        merge_parts(path, ("file",))


def compact_index(path: Path) -> None:
    """Remove lines that later ones replace, and damaged ones; not while another run adds to the file, whose
    further lines would be lost with the old one.
    """
    if path.is_file() and os.access(path, os.W_OK):
        with path.open("rb+") as file:
            if lock(file):
                write_records(path, read_index(path).values())
