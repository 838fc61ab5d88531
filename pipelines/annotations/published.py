"""The lists that data sets are published with: Kinetics, Something-Something, UCF101, HMDB51."""

import csv
import json
import re
from pathlib import Path
from typing import Any

from pipelines.annotations.rows import SPLITS, Listing, Row, without_ending
from pipelines.files.errors import ListError
from pipelines.files.text import read_text

KINETICS_COLUMNS = ("label", "youtube_id", "time_start", "time_end")
UCF101_CLASSES = "classInd.txt"


def read_kinetics(path: Path) -> Listing:
    """`label,youtube_id,time_start,time_end,split` with a header; a clip is called `{id}_{start:06d}_{end:06d}`."""
    listing, header = Listing(), None
    for where, text in listing.lines(path):
        try:
            (cells,) = csv.reader([text], strict=True)
        except (csv.Error, ValueError) as error:
            listing.problems.append(f"{where}: not a line of a csv file ({error})")
            continue
        if header is None:
            header = [cell.strip().lower() for cell in cells]
            absent = [column for column in KINETICS_COLUMNS if column not in header]
            if absent:
                listing.problems.append(f"{where}: no column {', '.join(absent)}; the first line must name the columns")
                break
            continue
        row = dict(zip(header, cells, strict=False))
        label, clip, *times = (row.get(column, "").strip() for column in KINETICS_COLUMNS)
        if not (label and clip and all(re.fullmatch(r"\d{1,9}(\.0*)?", time, re.ASCII) for time in times)):
            listing.problems.append(f"{where}: expected a label, an id and two times in whole seconds, got {text!r}")
            continue
        start, end = (int(float(time)) for time in times)  # written as 6.0 by programs that know no whole numbers
        split = row.get("split", "").strip().lower()
        listing.rows.append(Row(where, f"{clip}_{start:06d}_{end:06d}", label, SPLITS.get(split, split)))
    return listing


def read_something_v1(path: Path) -> Listing:
    """`id;label` without a header."""
    listing = Listing()
    for where, text in listing.lines(path):
        clip, _, label = (part.strip() for part in text.partition(";"))
        if clip and label:
            listing.rows.append(Row(where, clip, label))
        else:
            listing.problems.append(
                f"{where}: expected `id;label`, got {text!r} (lists of the test set have no labels)"
            )
    return listing


def read_something_v2(path: Path) -> Listing:
    """A JSON list of objects with `id` and `template`; the brackets of a template are not part of its name."""
    listing = Listing()
    items = read_json(path)
    if not isinstance(items, list):
        raise ListError([f"{path}: expected a list of objects with id and template, got {type(items).__name__}"])
    for number, item in enumerate(items, 1):
        clip, template = (item.get("id"), item.get("template")) if isinstance(item, dict) else (None, None)
        where = f"{path}: entry {number}"
        if not isinstance(clip, str | int) or not isinstance(template, str):
            shown = json.dumps(item, ensure_ascii=False)[:80]
            listing.problems.append(
                f"{where}: expected an object with id and template, got {shown} (lists of the test set have no labels)"
            )
            continue
        listing.rows.append(Row(where, str(clip), re.sub(r"[\[\]]", "", template).strip()))
    return listing


def read_json(path: Path) -> Any:
    """The content of a JSON file; raises ListError."""
    try:
        return json.loads(read_text(path))
    except ListError:
        raise
    except (ValueError, RecursionError) as error:
        raise ListError([f"{path}: not a JSON file ({error})"]) from error


def read_ucf101(path: Path, fold: int) -> Listing:
    """`Class/v_x.avi 1` counted from 1, or without a number: a list, or the folder of the lists of all folds.

    classInd.txt beside the lists gives the order of the classes, and each number is checked against it.
    """
    listing = Listing()
    files = [(path, "")]
    if path.is_dir():
        files = [(path / f"{kind}list{fold:02d}.txt", split) for kind, split in _UCF101_SPLITS.items()]
    class_file = files[0][0].with_name(UCF101_CLASSES)
    listing.classes = [text.partition(" ")[2].strip() for _, text in listing.lines(class_file)]
    for file, split in files:
        for where, text in listing.lines(file):
            found = re.fullmatch(r"(?P<label>[^/]+)/(?P<clip>.+?)(?:\s+(?P<number>\d{1,9}))?", text, re.ASCII)
            if not found:
                listing.problems.append(f"{where}: expected `Class/file.avi number`, got {text!r}")
                continue
            label, clip, number = found.groups()
            if number and listing.classes[int(number) - 1 : int(number)] != [label]:
                problem = f"{class_file.name} does not give {label!r} the number {number}"
                listing.problems.append(f"{where}: {problem} (for numbers from elsewhere: --format paths)")
            listing.rows.append(Row(where, f"{label}/{without_ending(clip)}", label, split))
    return listing


_UCF101_SPLITS = {"train": "training", "test": "validation"}


def read_hmdb51(path: Path, fold: int) -> Listing:
    """A folder of `<class>_test_split<fold>.txt` with `file.avi code`: 1 training, 2 validation, 0 neither."""
    listing = Listing()
    ending = f"_test_split{fold}.txt"
    for file in sorted(path.glob(f"*{ending}")):
        label = file.name.removesuffix(ending)
        for where, text in listing.lines(file):
            clip, _, code = text.rpartition(" ")
            if code not in _HMDB51_SPLITS:
                listing.problems.append(f"{where}: expected `file.avi code` with a code of 0, 1 or 2, got {text!r}")
            else:
                name = f"{label}/{without_ending(clip.strip())}"
                listing.rows.append(Row(where, name, label, _HMDB51_SPLITS[code]))
    if not listing.rows and not listing.problems:
        listing.problems.append(f"{path}: no clip in files named *{ending}; see --fold")
    return listing


_HMDB51_SPLITS = {"0": "neither", "1": "training", "2": "validation"}
