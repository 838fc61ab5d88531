"""A folder of training copies, and `copies.jsonl` in it: the source and the options of each copy.

Lines are only ever added; the last one of a clip counts.
"""

import os
from dataclasses import asdict
from pathlib import Path

from pipelines.files.atomic import fault_of_one
from pipelines.files.errors import InputError
from pipelines.files.records import Record, read_records
from pipelines.files.storage import State, state, states
from pipelines.transcode.copy_options import CopyOptions
from pipelines.transcode.training_copy import write_copy

Sources = dict[str, str | Path]
"""id -> original."""
RECORDS_NAME = "copies.jsonl"
EARLIER = {"adaptive": True}
"""What copies were made with before there was an option for it, so that their records do not say."""


def copy_path(folder: Path, clip_id: str) -> Path:
    return folder / f"{clip_id}.mp4"


def make_copy(folder: Path, clip_id: str, source: str | Path, options: CopyOptions) -> Record:
    """Make the copy of one clip; its record, with `reason` where none could be made."""
    record = _origin(clip_id, source, (0, 0), options)
    target = copy_path(folder, clip_id)
    try:
        # before reading: what changes meanwhile is then seen as outdated
        record = _origin(clip_id, source, state(source), options)
        frames = write_copy(source, target, options)
        return record | {"status": "ok", "frames": frames, "bytes": target.stat().st_size}
    except Exception as error:  # whatever a file holds, and however it is called
        reason = fault_of_one(error)
        named = str(source) in reason or str(target) in reason
        return record | {"status": "failed", "reason": reason if named else f"{source}: {reason}"}


def originals(folder: Path) -> dict[str, tuple[int, State]]:
    """Of each copy in a folder, if it has any: its size in bytes, and the state of the file that it was made from."""
    made = _made(folder)
    return {record["id"]: (record["bytes"], (record["size"], record["mtime_ns"])) for record in made}


def options_there(folder: Path) -> dict[CopyOptions, list[str]]:
    """The options that the copies in a folder were made with, and the ids of those made with each.

    Raises:
        InputError: options that this version does not know.
    """
    found: dict[CopyOptions, list[str]] = {}
    for record in _made(folder):
        try:
            options = CopyOptions(**(EARLIER | record["options"]))
        except (TypeError, ValueError) as error:
            message = f"{folder / RECORDS_NAME}: the copy of {record['id']} was made by another version ({error})"
            raise InputError([f"{message}; choose another --folder"]) from error
        found.setdefault(options, []).append(record["id"])
    return found


def _made(folder: Path) -> list[Record]:
    return [record for record in read_records(folder / RECORDS_NAME).values() if record["status"] == "ok"]


def not_made(folder: Path, sources: Sources, options: CopyOptions) -> Sources:
    """The clips of `sources` (id -> original) of which there is no copy of the present file with these options."""
    known, found = read_records(folder / RECORDS_NAME), states(sources.values())
    return {
        clip_id: source
        for clip_id, source in sources.items()
        if not _is_made(known.get(clip_id), folder, source, found[source], options)
    }


def _is_made(
    record: Record | None, folder: Path, source: str | Path, found: State | None, options: CopyOptions
) -> bool:
    if record is None or record["status"] != "ok" or found is None:
        return False
    expected, record = _origin(record["id"], source, found, options), record | {"options": EARLIER | record["options"]}
    try:
        size = copy_path(folder, record["id"]).stat().st_size
    except OSError:
        return False
    return size == record["bytes"] and all(record.get(key) == value for key, value in expected.items())


def _origin(clip_id: str, source: str | Path, found: State, options: CopyOptions) -> Record:
    made_from = {"source": os.path.basename(source), "size": found[0], "mtime_ns": found[1]}
    return {"id": clip_id, **made_from, "options": asdict(options)}
