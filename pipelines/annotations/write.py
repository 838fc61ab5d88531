"""Writes lists and the data file that names them, each as a whole or not at all."""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pipelines.annotations.build import FOLD, Lists
from pipelines.annotations.media import MediaFolder
from pipelines.annotations.rows import Row
from pipelines.annotations.split import ListedClip
from pipelines.dataset.clips import Dataset
from pipelines.dataset.list_line import WHOLE, list_header
from pipelines.files.atomic import temporary_path
from pipelines.files.errors import ListError

DATA_FILE, MISSING_FILE = "data.json", "missing.txt"


def write_lists(out: Path, lists: Lists, media: MediaFolder, *, name: str, force: bool = False) -> None:
    """Write training.txt, validation.txt and data.json into the folder `out`, and missing.txt if clips are missing.

    With folds, each has these three in a folder of its own inside of `out`, which is the data folder of all: they share
    index and log-mel store.

    A line of missing.txt holds name, class, split and origin of a clip, with tabs between.

    Nothing is written if one of them exists and `force` is not given.

    Raises:
        ListError: a file exists already, or cannot be written, or there is a fold too many.
    """
    texts: dict[str, str] = {}
    for folder, clips in lists.clips.items():
        settings = {"dataset": _settings(out, folder, lists, media, name)}
        texts |= {
            os.path.join(folder, Dataset.file_train_list): _list_text(clips["training"]),
            os.path.join(folder, Dataset.file_val_list): _list_text(clips["validation"]),
            os.path.join(folder, DATA_FILE): json.dumps(settings, indent=4, ensure_ascii=False) + "\n",
        }
    more = sorted(str(path) for path in out.glob(f"{FOLD}*/{DATA_FILE}") if path.parent.name not in lists.clips)
    if more and "" not in lists.clips:
        raise ListError(
            [f"{file}: a fold beyond the {len(lists.clips)} that are asked for; remove it" for file in more]
        )
    there = [str(out / file) for file in (*texts, MISSING_FILE) if os.path.lexists(out / file)]
    if there and not force:
        raise ListError([f"{file}: exists already; --force replaces it" for file in there])
    if lists.missing:
        texts[MISSING_FILE] = "".join(map(_missing_line, lists.missing))
    try:
        for folder in lists.clips:
            (out / folder).mkdir(parents=True, exist_ok=True)
        _write_all(out, texts)
        if not lists.missing:
            (out / MISSING_FILE).unlink(missing_ok=True)
    except OSError as error:
        raise ListError([f"{error.filename or out}: cannot be written ({error.strerror})"]) from error


def _write_all(out: Path, texts: Mapping[str, str]) -> None:
    """Write all files under temporary names, then give them their names: no list without the others."""
    with ExitStack() as stack:
        temporary = {file: stack.enter_context(temporary_path(out / file)) for file in texts}
        for file, text in texts.items():
            temporary[file].write_text(text, encoding="utf-8")
        for file, path in temporary.items():
            os.replace(path, out / file)


def _list_text(clips: Sequence[ListedClip]) -> str:
    text = [f"{clip.id} {','.join(map(str, clip.labels))}" for clip in clips]
    header = list_header(text, pieces=any(clip.row.end != WHOLE for clip in clips))
    return header + "".join(f"{line}\n" for line in text)


def _missing_line(row: Row) -> str:
    return f"{row.name}\t{', '.join(row.labels)}\t{row.split}\t{row.where}\n"


def _settings(out: Path, folder: str, lists: Lists, media: MediaFolder, name: str) -> dict[str, Any]:
    """The section `dataset` of the data file."""
    numbers = [] if lists.several else [str(label) for label in range(len(lists.classes))]
    clips = _relative_folder(media.root, out)
    where = {"dir_frames": clips, "frames_tmpl": media.frames_tmpl()} if media.frames else {"dir_videos": clips}
    return {
        "name": name,
        "data_dir": str(out),
        **where,
        "file_train_list": os.path.join(folder, Dataset.file_train_list),
        "file_val_list": os.path.join(folder, Dataset.file_val_list),
        **({"task": "labels"} if lists.several else {}),
        **({} if lists.classes == numbers else {"class_names": lists.classes}),
    }


def _relative_folder(folder: Path, out: Path) -> str:
    """`folder` as seen from `out`: by the path as it was given, links included, if it lies inside."""
    as_given = os.path.relpath(folder, out)
    return os.path.relpath(os.path.realpath(folder), os.path.realpath(out)) if as_given.startswith("..") else as_given
