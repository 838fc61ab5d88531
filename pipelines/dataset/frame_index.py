"""The index of a data set's frame folders: one JSON line each, kept beside the data, so that later starts are fast.

A line is used again for as long as the time of its folder is unchanged: adding, removing or renaming a frame changes
it.
"""

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from joblib import Parallel, delayed
from tqdm import tqdm

from pipelines.dataset.clips import Dataset
from pipelines.dataset.list_file import columns_hint
from pipelines.dataset.tsam_names import explain_cut_names
from pipelines.decode.container import VideoError
from pipelines.decode.frame_folder import check_template, probe_folder
from pipelines.files.errors import ListError
from pipelines.files.records import Record, is_whole, read_records, write_records
from pipelines.files.unicode_names import name_hint

INDEX_NAME = "frames.jsonl"


def index_frames(dataset: Dataset, clip_ids: Sequence[str], workers: int) -> dict[str, Record]:
    """The records of the given clips, by id; new and changed folders are read, with a progress bar.

    A record holds id, file (the folder, relative to data_dir), mtime_ns, template, status ("ok" or a named fault); then
    frames, height and width if ok, else reason.

    Raises:
        InputError: `frames_tmpl` names no number.
        ListError: naming every id that has no folder.
    """
    check_template(dataset.frames_tmpl)
    path = dataset.root / INDEX_NAME
    known = read_records(path, whole=is_whole)
    records, missing = {}, {}  # missing: id -> message
    for clip_id in clip_ids:
        folder = dataset.frames / clip_id
        try:
            status = os.stat(folder)
        except (OSError, ValueError):  # ValueError: a name that cannot be one
            status = None
        if status and stat.S_ISDIR(status.st_mode):
            records[clip_id] = _stat_record(dataset, clip_id, status.st_mtime_ns, known.get(clip_id))
        else:
            missing[clip_id] = f"{folder}: no such folder{name_hint(folder) or columns_hint(clip_id)}"
    if missing:
        explained, cut = explain_cut_names(dataset.frames, "", missing, clip_ids)
        raise ListError([*explained, *(problem for clip_id, problem in missing.items() if clip_id not in cut)])
    todo = [record for record in records.values() if "status" not in record]
    if todo:
        # Threads: the work is waiting for the disk.
        jobs = Parallel(n_jobs=workers, prefer="threads", return_as="generator_unordered")(
            delayed(_probe_record)(dataset, record) for record in todo
        )
        for record in tqdm(jobs, total=len(todo), desc="indexing frame folders", unit="clip"):
            records[record["id"]] = record
        write_records(path, (known | records).values())
    return records


def _stat_record(dataset: Dataset, clip_id: str, mtime_ns: int, known: Record | None) -> Record:
    """The known record if its folder is unchanged, else one without a status."""
    record = {
        "id": clip_id,
        "file": str(Path(dataset.dir_frames) / clip_id),
        "mtime_ns": mtime_ns,
        "template": dataset.frames_tmpl,
    }
    if known and all(known.get(key) == value for key, value in record.items()):
        return known
    return record


def _probe_record(dataset: Dataset, record: Record) -> Record:
    try:
        return record | {"status": "ok"} | probe_folder(dataset.root / record["file"], dataset.frames_tmpl)._asdict()
    except VideoError as error:
        return record | {"status": error.status, "reason": str(error)}
