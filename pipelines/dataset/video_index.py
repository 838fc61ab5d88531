"""The index of a data set: what is known about each video, kept beside the data for later starts.

A record is used again for as long as size and time of its file are unchanged. Videos are probed in child processes with
limits on time and memory: one that hangs or crashes a decoder gets a status like any other fault.
"""

from array import array
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from pipelines.dataset.clips import Dataset
from pipelines.dataset.index_file import Facts, PieceFacts, index_writer
from pipelines.dataset.list_file import Entry
from pipelines.dataset.media_files import file_prefix, video_endings
from pipelines.decode.packet_table import Tables
from pipelines.decode.probe import Checked, probe_video
from pipelines.files.errors import ListError
from pipelines.files.records import Record, compact_records, each_record, is_whole, merge_parts
from pipelines.files.shard import Shard
from pipelines.files.storage import each_state, is_remote, location
from pipelines.files.tool_command import tool_command
from pipelines.parallel.pool import map_limited_on_dask
from pipelines.parallel.sandbox import FAULTS, Fault, Limits, map_limited

INDEX_NAME, TABLES_NAME = "index.jsonl", "index.packets"
_KEY = ("file",)
VERSION = 3
"""Of the content of a record. Records of another version are not used."""

ADVICE = {
    "timeout": f"if it is just long, run {tool_command('index_videos')} with a larger --timeout",
    "out_of_memory": f"if it is just large, run {tool_command('index_videos')} with a larger --memory",
    "crashed": "convert it, or leave it out of the list",
    "failed": "convert it, or leave it out of the list",
}
"""For each status of a `Fault`."""


def index_videos(dataset: Dataset, clip_ids: Sequence[str], workers: int, **options: Any) -> dict[str, Record]:
    """The records of the given clips, by id, in their order; the arguments are those of `video_records`."""
    endings = _endings(dataset, clip_ids)
    records = dict(video_records(dataset, clip_ids, endings, workers, **options))
    return {clip_id: records[row] for row, clip_id in enumerate(clip_ids)}


def video_facts(
    dataset: Dataset, clip_ids: Sequence[str], workers: int, *, clock: bool = False, dense: bool = False
) -> Facts:
    """What clips are made from, of the records of the given files; see `video_records`."""
    facts = Facts(len(clip_ids), file_prefix(dataset), _endings(dataset, clip_ids), timed=clock, dense=dense)
    for row, record in video_records(dataset, clip_ids, facts.endings, workers, clock=clock, dense=dense):
        facts.add(row, record)
    return facts


def piece_facts(
    dataset: Dataset, pieces: Sequence[Entry], places: Sequence[str], workers: int, dense: bool = False
) -> PieceFacts:
    """What clips are made from, of pieces of files, or whole ones among them; each file is indexed once.

    places: where each piece is listed, for messages. dense: also what dense sampling must know.
    """
    row_of: dict[str, int] = {}
    rows = [row_of.setdefault(piece.file, len(row_of)) for piece in pieces]
    files = video_facts(dataset, list(row_of), workers, clock=True, dense=dense)
    return PieceFacts(files, rows, [(piece.start, piece.end) for piece in pieces], places)


def packet_tables(dataset: Dataset) -> Tables:
    """Where the tables of files with pieces are kept: beside the index."""
    return Tables(location(dataset.data_dir, file_prefix(dataset)), str(dataset.root / TABLES_NAME))


def _endings(dataset: Dataset, clip_ids: Sequence[str]) -> list[str]:
    """The ending of each clip's file.

    Raises:
        ListError: naming every id that has no file.
    """
    endings, missing = video_endings(dataset, clip_ids)
    if missing:
        raise ListError(missing)
    return endings


def video_records(
    dataset: Dataset,
    clip_ids: Sequence[str],
    endings: Sequence[str],
    workers: int,
    *,
    checked: Checked = "demuxed",
    clock: bool = False,
    dense: bool = False,
    limits: Limits = Limits(),  # noqa: B008, it is frozen
    again: Collection[str] = ("unreadable",),
    probe: Callable[..., dict[str, Any]] = probe_video,
    shard: Shard | None = None,
    dask: str = "",
    required: bool = False,
) -> Iterator[tuple[int, Record]]:
    """Numbers and records of the given clips, the latest of a number last; new and changed files are probed, with a
    progress bar.

    A record holds id, file (relative to data_dir, or an address), size (bytes), mtime_ns (of an object: its ETag),
    version, checked (how far, see `Checked`), status ("ok" or a named fault); then what `probe_video` finds if ok, else
    reason. Each is kept as soon as it is there.

    Args:
        dataset: where the videos are.
        clip_ids: of which videos.
        endings: of their files.
        workers: child processes.
        checked: how far to check; what was checked further counts, too.
        clock: records must tell when each frame is shown.
        dense: records must tell what dense sampling asks for; those of earlier versions do not.
        limits: of each file.
        again: statuses whose files are probed again, as they may depend on more than the file.
        probe: `probe_video`, or another function of a path and `checked`.
        shard: new records go into its part file; the clips are chosen by the caller.
        dask: address of the scheduler of a Dask cluster whose workers probe, in place of child processes here.
        required: records must be saved; else a warning is enough where they cannot be.

    Raises:
        InputError: the index is required, and cannot be written.
    """
    path, begin = dataset.root / INDEX_NAME, file_prefix(dataset)
    if shard is None:
        take_in_parts(path)
    place = location(dataset.data_dir, begin)
    places = (place + clip_id + end for clip_id, end in zip(clip_ids, endings, strict=True))
    sizes, times = array("q"), [] if is_remote(begin) else array("q")
    for state in each_state(places):
        size, time = state or (0, 0)  # no file at the end of a link
        sizes.append(size)
        times.append(time)  # type: ignore[arg-type]
    row_of = {clip_id: row for row, clip_id in enumerate(clip_ids)}
    known = bytearray(len(clip_ids))  # 1: its latest record can be used
    for record in each_record(path, _KEY, is_whole):
        file = str(record["file"])
        row = row_of.get(file[len(begin) : file.rfind(".")])
        if row is None or file != begin + clip_ids[row] + endings[row]:
            continue
        known[row] = (
            record.get("size") == sizes[row]
            and record.get("mtime_ns") == times[row]
            and record.get("version") == VERSION
            and _checked_enough(record, checked)
            and record["status"] not in again
            and (not clock or record["status"] != "ok" or "clock" in record)
            and (not dense or record["status"] != "ok" or "audio_start" in record)
        )
        if known[row]:
            yield row, record
    todo = {place + clip_ids[row] + endings[row]: row for row in row_of.values() if not known[row]}
    if not todo:
        return
    own = shard.part(path) if shard else path
    function = partial(probe, checked=checked, **({"tables": packet_tables(dataset)} if clock else {}))
    if dask:
        results = map_limited_on_dask(function, list(todo), limits, dask)
    else:
        results = map_limited(function, list(todo), workers, limits)
    with closing(results), index_writer(own, required) as add:
        for name, result in tqdm(results, total=len(todo), desc="indexing videos", unit="clip"):
            row = todo[name]
            clip_id, file = clip_ids[row], begin + clip_ids[row] + endings[row]
            record = {"id": clip_id, "file": file, "size": sizes[row], "mtime_ns": times[row]}
            record |= {"version": VERSION, "checked": checked}
            record |= _of_fault(name, result) if isinstance(result, Fault) else result
            add(record)
            yield row, record
    compact_index(own)


def _checked_enough(record: Record, checked: Checked) -> bool:
    """Whether a file was checked as far as asked for; a check that a limit ended says nothing about a shorter one."""
    found = record.get("checked")
    return found == checked or (found == "decoded" and record.get("status") not in FAULTS)


def _of_fault(place: str, fault: Fault) -> Record:
    return {"status": fault.status, "reason": f"{place}: {fault.reason}; {ADVICE[fault.status]}"}


def take_in_parts(path: Path) -> None:
    """Merge the records of shards into the index; if it cannot be written, they stay in their files."""
    with suppress(OSError):
        merge_parts(path, _KEY)


def compact_index(path: Path) -> None:
    """Remove lines of files that later lines replace, and damaged ones; see `compact_records`."""
    compact_records(path, _KEY, is_whole)
