"""Lists of pieces of long files, each with its times in seconds: VGGSound, AudioSet, ActivityNet, Charades,
uncut Kinetics."""

import csv
import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from pipelines.annotations.classes import audioset_names, charades_names
from pipelines.annotations.media import MediaFolder
from pipelines.annotations.published import KINETICS_COLUMNS, read_json
from pipelines.annotations.rows import SPLITS, Listing, Row
from pipelines.annotations.split import TSAM_SPLITS
from pipelines.files.errors import ListError
from pipelines.files.words import counted

log = logging.getLogger(__name__)

VGGSOUND_SECONDS = 10.0
AUDIOSET_COLUMNS = {"YTID", "start_seconds", "end_seconds", "positive_labels"}
AUDIOSET_CLASSES = "class_labels_indices.csv"
CHARADES_COLUMNS = ("id", "actions")
CHARADES_CLASSES = "Charades_v1_classes.txt"
_SECONDS = re.compile(r"\d{1,9}(\.\d*)?", re.ASCII)


def read_vggsound(path: Path) -> Listing:
    """`youtube_id,start,label,train|test`, perhaps below a header: ten seconds each; what is for `test` is for
    validation."""
    listing = Listing()
    for number, (where, cells) in enumerate(_cells(listing, path)):
        if number == 0 and is_vggsound_header(cells):
            continue
        if len(cells) != 4 or not _SECONDS.fullmatch(cells[1]) or not cells[2]:
            listing.problems.append(f"{where}: expected `youtube_id,start,label,train` or `test`, got {cells}")
            continue
        clip, start, label, split = cells
        split = "validation" if split == "test" else SPLITS.get(split, split)
        listing.rows.append(Row(where, clip, label, split, float(start), float(start) + VGGSOUND_SECONDS))
    return listing


def is_vggsound_header(cells: Sequence[str]) -> bool:
    """Whether a line names the columns: published lists have no such line, some copies do."""
    return len(cells) == 4 and [cell.lower() for cell in cells[2:]] == ["label", "split"]


def read_audioset(path: Path, classes: Path | None) -> Listing:
    """`YTID, start, end, "/m/09x0r,/t/dd00088"` behind comments or a header, several labels for each piece. Their names
    are in class_labels_indices.csv beside the list, or in `classes`, which may also be a list of the ids of labels."""
    listing, file = Listing(), classes or path.with_name(AUDIOSET_CLASSES)
    names = audioset_names(file) if classes or file.exists() else {}
    if not names and not classes:
        log.warning("%s: no %s beside it, labels go by their ids; see --classes", path, AUDIOSET_CLASSES)
    listing.classes = list(names.values())
    for where, cells in _cells(listing, path):
        if cells[0].startswith("#") or set(cells) == AUDIOSET_COLUMNS:
            continue
        labels = [label.strip() for label in cells[3].split(",")] if len(cells) == 4 else []
        if not all(labels) or not labels:
            listing.problems.append(f'{where}: expected `YTID, start, end, "/m/09x0r,/t/dd00088"`, got {cells}')
        elif names and (unknown := [label for label in labels if label not in names]):
            listing.problems.append(f"{where}: {file} has no label {unknown[0]!r}")
        else:
            first, *others = (names.get(label, label) for label in labels)
            _add(listing, Row(where, cells[0], first, others=tuple(others)), *cells[1:3])
    return listing


def read_uncut_kinetics(path: Path) -> Listing:
    """The csv of Kinetics, where the videos are whole: `youtube_id.mp4`."""
    listing = Listing()
    for where, cells in _named(listing, path, KINETICS_COLUMNS):
        label, clip, *times = (cells.get(column, "") for column in KINETICS_COLUMNS)
        split = cells.get("split", "").lower()
        _add(listing, Row(where, clip, label, SPLITS.get(split, split)), *times)
    return listing


def read_activitynet(path: Path, media: MediaFolder) -> Listing:
    """A JSON object whose `database` has subset and annotations (`segment`, `label`) of each video, which lies in
    `v_ID.mp4` or `ID.mp4`."""
    listing, content = Listing(), read_json(path)
    database = content.get("database") if isinstance(content, dict) else None
    if not isinstance(database, dict):
        raise ListError([f"{path}: expected an object with a database of videos"])
    empty: list[str] = []
    for video, about in database.items():
        where = f"{path}: {video!r}"
        try:
            split = SPLITS.get(about["subset"], about["subset"])
            name = f"v_{video}" if media.find(Row(where, f"v_{video}", ""), by_name=True) else video
            for annotation in about["annotations"]:
                times = (np.format_float_positional(float(time), trim="-") for time in annotation["segment"])
                start, end = times  # never as 1e-05
                _add(listing, Row(where, name, str(annotation["label"]), split), start, end)
            if split in TSAM_SPLITS and not about["annotations"]:
                empty.append(video)
        except (KeyError, TypeError, ValueError):
            listing.problems.append(f"{where}: expected subset and annotations, each with segment and label")
    _warn_of_empty(path, empty)
    return listing


def read_charades(path: Path, classes: Path | None) -> Listing:
    """A csv whose column `actions` holds `c092 11.90 21.20;c147 0.00 12.60`; actions at the same times are one piece
    with several labels. Their names are in Charades_v1_classes.txt beside the list, or in `classes`."""
    listing, file = Listing(), classes or path.with_name(CHARADES_CLASSES)
    names = charades_names(file) if classes or file.exists() else {}
    listing.classes = list(names.values())
    pieces = Listing(problems=listing.problems)
    empty: list[str] = []
    for where, cells in _named(listing, path, CHARADES_COLUMNS):
        actions = [action.split() for action in cells["actions"].split(";") if action.strip()]
        for label, *times in actions:
            if names and label not in names:
                listing.problems.append(f"{where}: {file} has no label {label!r}")
            elif len(times) == 2:
                _add(pieces, Row(where, cells["id"], names.get(label, label)), *times)
            else:
                action = " ".join([label, *times])
                listing.problems.append(f"{where}: expected actions as `c092 11.90 21.20;...`, got {action!r}")
        if not actions:
            empty.append(cells["id"])
    _warn_of_empty(path, empty)
    together: dict[tuple[str, float, float], list[Row]] = {}
    for row in pieces.rows:
        together.setdefault((row.name, row.start, row.end), []).append(row)
    for first, *others in together.values():
        labels = dict.fromkeys(row.label for row in (first, *others))
        listing.rows.append(first._replace(others=tuple(labels)[1:]))
    return listing


def _warn_of_empty(path: Path, videos: Sequence[str]) -> None:
    if videos:
        have = counted(len(videos), "video has no piece and is", "videos have no piece and are")
        log.warning("%s: %s left out, for example %s", path, have, videos[0])


def _add(listing: Listing, row: Row, start: str, end: str) -> None:
    if not (row.name and row.label and _SECONDS.fullmatch(start) and _SECONDS.fullmatch(end)):
        listing.problems.append(
            f"{row.where}: expected an id, a label and two times in seconds, got {start!r}, {end!r}"
        )
    elif float(start) >= float(end):
        listing.problems.append(f"{row.where}: the end, {end} s, must lie behind the start, {start} s")
    else:
        listing.rows.append(row._replace(start=float(start), end=float(end)))


def _named(listing: Listing, path: Path, columns: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str]]]:
    """The lines behind the first, which names the columns, each as {column: content}."""
    header: list[str] = []
    for where, cells in _cells(listing, path):
        if header:
            yield where, dict.fromkeys(columns, "") | dict(zip(header, cells, strict=False))
            continue
        header = [cell.lower() for cell in cells]
        if absent := [column for column in columns if column not in header]:
            listing.problems.append(f"{where}: no column {', '.join(absent)}; the first line must name the columns")
            return


def _cells(listing: Listing, path: Path) -> Iterator[tuple[str, list[str]]]:
    for where, text in listing.lines(path):
        try:
            (cells,) = csv.reader([text], strict=True, skipinitialspace=True)
        except (csv.Error, ValueError) as error:
            listing.problems.append(f"{where}: not a line of a csv file ({error})")
            continue
        yield where, [cell.strip() for cell in cells]
