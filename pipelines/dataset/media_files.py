"""The video of each id, and which files count as videos."""

import logging
import os
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from pipelines.dataset.clips import Dataset
from pipelines.dataset.list_file import columns_hint
from pipelines.files.errors import ListError
from pipelines.files.formats import DEMUXERS, ENDINGS
from pipelines.files.storage import is_remote, remote_files, remote_names
from pipelines.files.unicode_names import name_hint

log = logging.getLogger(__name__)


def find_video(dataset: Dataset, clip_id: str) -> Path | str:
    """The file of an id: `dir_videos/ID.mp4`, or the one file with another known ending.

    Raises:
        ListError: there is no such file.
    """
    if is_remote(dataset.videos):
        files, problems = find_videos(dataset, [clip_id])
        if problems:
            raise ListError(problems)
        return files[clip_id]
    folder = Path(dataset.videos)
    for ending in DEMUXERS:
        path = folder / f"{clip_id}{ending}"
        if os.path.lexists(path):
            return path
    others = (f"{clip_id}{ending.upper()}" for ending in DEMUXERS)
    in_capitals = next((name for name in others if os.path.lexists(folder / name)), "")
    raise ListError([_no_video(dataset, clip_id, os.path.basename(in_capitals))])


def find_videos(dataset: Dataset, clip_ids: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """The same for many ids, each folder listed once: the file of each, relative to data_dir or an address; and a line
    of text for each id that has none. A link that leads nowhere is a file.

    Raises:
        ListError: an object store cannot be reached.
    """
    clip_ids = list(clip_ids)
    endings, problems = video_endings(dataset, clip_ids)
    begin = file_prefix(dataset)
    return {clip_id: begin + clip_id + end for clip_id, end in zip(clip_ids, endings, strict=True) if end}, problems


def file_prefix(dataset: Dataset) -> str:
    """What stands before the id in the name of a video, relative to data_dir, or in its address."""
    return f"{dataset.videos if is_remote(dataset.videos) else PurePosixPath(dataset.dir_videos)}/"


def video_endings(dataset: Dataset, clip_ids: Sequence[str]) -> tuple[list[str], list[str]]:
    """The ending of the file of each id, "" where it has none; and a line of text for each that has none.

    Folder by folder, so that the names of a million files are never in memory at once.
    """
    begin = file_prefix(dataset)
    endings, problems = [""] * len(clip_ids), {}
    rows_in: dict[str, array[int]] = defaultdict(lambda: array("i"))
    for row, clip_id in enumerate(clip_ids):
        rows_in[clip_id.rpartition("/")[0]].append(row)
    for folder, rows in rows_in.items():
        names = _names(begin + folder if is_remote(begin) else os.path.join(dataset.data_dir, begin + folder))
        capitals: dict[str, str] | None = None  # stem -> name
        for row in rows:
            name = clip_ids[row].rpartition("/")[2]
            for ending in DEMUXERS:
                if name + ending in names:
                    endings[row] = ending
                    break
            else:
                if capitals is None:
                    capitals = {os.path.splitext(other)[0]: other for other in names if _in_capitals(other)}
                problems[row] = _no_video(dataset, clip_ids[row], capitals.get(name, ""))
    return endings, [problems[row] for row in sorted(problems)]


def _no_video(dataset: Dataset, clip_id: str, in_capitals: str) -> str:
    """The message for a clip without a file, or with one whose ending is in capitals."""
    if in_capitals:
        return f"{dataset.videos}/{clip_id}: file endings in capitals are not recognised; {_rename(in_capitals)}"
    missing = f"{dataset.videos}/{clip_id}"
    why = ("" if is_remote(missing) else name_hint(missing, DEMUXERS)) or columns_hint(clip_id)
    return f"{missing}: no video with one of the endings {ENDINGS}{why}"


def _rename(in_capitals: str) -> str:
    stem, ending = os.path.splitext(in_capitals)
    return f"rename {in_capitals} to {stem}{ending.lower()}"


def _in_capitals(name: str) -> bool:
    ending = os.path.splitext(name)[1]
    return ending not in DEMUXERS and ending.lower() in DEMUXERS


def _names(folder: str) -> frozenset[str]:
    """Of everything in a folder; none if it cannot be listed."""
    if is_remote(folder):
        try:
            return frozenset(remote_names(folder.rstrip("/")))
        except OSError as error:
            raise ListError([unreachable(folder, error)]) from error
    try:
        return frozenset(os.listdir(folder))
    except (OSError, ValueError):  # ValueError: a name that cannot be one in this locale
        return frozenset()


def unreachable(folder: str, error: OSError) -> str:
    """The message for an object store that does not answer."""
    return f"{folder}: cannot be listed ({error}); check the bucket's name, AWS_ENDPOINT_URL and the keys (AWS_...)"


def video_ids(dataset: Dataset) -> list[str]:
    """The ids of all videos in dir_videos and its sub-folders, also those that are links, sorted.

    Names that begin with a dot are passed over; those with an ending in capitals, too, but with a warning.
    """
    ids, in_capitals = set(), []
    for path in _files(dataset):
        stem, ending = os.path.splitext(path)
        if ending in DEMUXERS:
            ids.add(stem)
        elif _in_capitals(path):
            in_capitals.append(path)
    if in_capitals:
        message = "%s: file endings in capitals are not recognised; %s (%d such files)"
        log.warning(message, dataset.videos, _rename(min(in_capitals)), len(in_capitals))
    return sorted(ids)


def _files(dataset: Dataset) -> Iterator[str]:
    """The names of all files in dir_videos, relative to it."""
    if is_remote(dataset.videos):
        try:
            yield from remote_files(dataset.videos)
        except OSError as error:
            raise ListError([unreachable(dataset.videos, error)]) from error
        return
    root, seen = str(dataset.videos), set()
    for folder, folders, names in os.walk(root, followlinks=True):
        try:
            status = os.stat(folder)
        except OSError:  # it has just vanished
            continue
        if (status.st_dev, status.st_ino) in seen:  # links can make a circle
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        for name in (*folders, *names):
            if not name.startswith("."):  # an unfinished copy, or what macOS keeps beside a file
                yield os.path.relpath(os.path.join(folder, name), root)
