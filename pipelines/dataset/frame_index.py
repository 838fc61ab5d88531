"""The index of a data set's frame folders: one JSON line each, kept beside the data, so that later starts are fast.

A line is used again for as long as the time of its folder is unchanged: adding, removing or renaming a frame changes
it.
"""

import os
import stat
from array import array
from collections.abc import Sequence
from pathlib import Path

from joblib import Parallel, delayed
from tqdm import tqdm

from pipelines.dataset.clips import Dataset
from pipelines.dataset.index_file import Facts, index_writer
from pipelines.dataset.list_file import columns_hint
from pipelines.dataset.tsam_names import explain_cut_names
from pipelines.decode.container import VideoError
from pipelines.decode.frame_folder import check_template, probe_folder
from pipelines.files.errors import ListError
from pipelines.files.records import Record, compact_records, each_record, is_whole
from pipelines.files.unicode_names import name_hint

INDEX_NAME = "frames.jsonl"


def frame_facts(dataset: Dataset, clip_ids: Sequence[str], workers: int, dense: bool = False) -> Facts:
    """What clips are made from, of the records of the given clips; new and changed folders are read, with a progress
    bar.

    A record holds id, file (the folder, relative to data_dir), mtime_ns, template, status ("ok" or a named fault); then
    frames, height and width if ok, else reason. Each is kept as soon as it is there.

    Raises:
        InputError: `frames_tmpl` names no number.
        ListError: naming every id that has no folder.
    """
    check_template(dataset.frames_tmpl)
    path, begin = dataset.root / INDEX_NAME, str(Path(dataset.dir_frames, "-")).removesuffix("-")
    facts, times = Facts(len(clip_ids), begin, [""] * len(clip_ids), dense=dense), _times(dataset, clip_ids)
    row_of = {clip_id: row for row, clip_id in enumerate(clip_ids)}
    known = bytearray(len(clip_ids))  # 1: its latest record can be used
    for record in each_record(path, whole=is_whole):
        row = row_of.get(record["id"])
        if row is not None:
            expected = {"file": begin + clip_ids[row], "mtime_ns": times[row], "template": dataset.frames_tmpl}
            known[row] = all(record.get(key) == value for key, value in expected.items())
            if known[row]:
                facts.add(row, record)
    todo = [
        {"id": clip_id, "file": begin + clip_id, "mtime_ns": times[row], "template": dataset.frames_tmpl}
        for clip_id, row in row_of.items()
        if not known[row]
    ]
    if todo:
        # Threads: the work is waiting for the disk.
        jobs = Parallel(n_jobs=workers, prefer="threads", return_as="generator_unordered")(
            delayed(_probe_record)(dataset, record) for record in todo
        )
        with index_writer(path) as add:
            for record in tqdm(jobs, total=len(todo), desc="indexing frame folders", unit="clip"):
                add(record)
                facts.add(row_of[record["id"]], record)
        compact_records(path, ("id",), is_whole)
    facts.rate = array("d", [dataset.frames_fps or 0.0]) * len(facts.rate)
    return facts


def _times(dataset: Dataset, clip_ids: Sequence[str]) -> Sequence[int]:
    """When each folder changed; raises ListError, naming every id that has none."""
    times, missing = array("q"), {}  # missing: id -> message
    for clip_id in clip_ids:
        folder = f"{dataset.frames}/{clip_id}"
        try:
            status = os.stat(folder)
        except (OSError, ValueError):  # ValueError: a name that cannot be one
            status = None
        if status and stat.S_ISDIR(status.st_mode):
            times.append(status.st_mtime_ns)
        else:
            missing[clip_id] = f"{folder}: no such folder{name_hint(folder) or columns_hint(clip_id)}"
    if missing:
        explained, cut = explain_cut_names(dataset.frames, "", missing, clip_ids)
        raise ListError([*explained, *(problem for clip_id, problem in missing.items() if clip_id not in cut)])
    return times


def _probe_record(dataset: Dataset, record: Record) -> Record:
    try:
        return record | {"status": "ok"} | probe_folder(dataset.root / record["file"], dataset.frames_tmpl)._asdict()
    except VideoError as error:
        return record | {"status": error.status, "reason": str(error)}
