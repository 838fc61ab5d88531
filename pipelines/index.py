"""The index of a data set: one JSON line per video with what demuxing tells, kept beside the data.

A line is used again for as long as size and time of its file are unchanged.
"""

import json
import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed
from tqdm import tqdm

from pipelines.clips import Dataset, ListError, find_video
from pipelines.decode import VideoError, probe

log = logging.getLogger(__name__)

INDEX_NAME = "index.jsonl"

Record = dict[str, Any]
"""id, file (relative to data_dir), size, mtime_ns, status ("ok" or a named fault); then `VideoInfo`'s fields if ok,
else `reason`."""


def index_videos(dataset: Dataset, clip_ids: Sequence[str], workers: int) -> dict[str, Record]:
    """The records of the given clips, by id; new and changed files are probed, with a progress bar.

    Raises:
        ListError: naming every id that has no file.
    """
    path = dataset.root / INDEX_NAME
    known = read_index(path)
    records, missing = {}, []
    for clip_id in clip_ids:
        try:
            records[clip_id] = _stat_record(dataset, clip_id, known.get(clip_id))
        except ListError as error:
            missing += error.problems
    if missing:
        raise ListError(missing)
    todo = [record for record in records.values() if "status" not in record]
    if todo:
        jobs = Parallel(n_jobs=workers, return_as="generator_unordered")(
            delayed(_probe_record)(str(dataset.root), record) for record in todo
        )
        for record in tqdm(jobs, total=len(todo), desc="indexing videos", unit="clip"):
            records[record["id"]] = record
        _write_index(path, (known | records).values())
    return records


def read_index(path: Path) -> dict[str, Record]:
    """The records of an index file by id; empty where there is none. A line cut short by an interruption is ignored."""
    records = {}
    if path.is_file():
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                try:
                    record = json.loads(line)
                    records[record["id"]] = record
                except (ValueError, KeyError, TypeError):
                    log.warning("%s: a damaged line is ignored; its clip is indexed again", path)
    return records


def _stat_record(dataset: Dataset, clip_id: str, known: Record | None) -> Record:
    """The known record if its file is unchanged, else one without a status."""
    file = find_video(dataset, clip_id)
    stat = file.stat()
    record = {
        "id": clip_id,
        "file": str(file.relative_to(dataset.root)),
        "size": stat.st_size,
        "mtime_ns": stat.st_mtime_ns,
    }
    if known and all(known.get(key) == value for key, value in record.items()):
        return known
    return record


def _probe_record(root: str, record: Record) -> Record:
    try:
        return record | {"status": "ok"} | asdict(probe(Path(root) / record["file"]))
    except VideoError as error:
        return record | {"status": error.status, "reason": str(error)}


def _write_index(path: Path, records: Iterable[Record]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(record) + "\n" for record in records)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        log.warning("%s: the index cannot be kept (%s); it will be made again next time", path, error.strerror)
