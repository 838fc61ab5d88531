"""The formats that lists of clips come in, and how each is recognised."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from pipelines.annotations.media import MediaFolder, read_folder
from pipelines.annotations.paths import PathOptions, is_header, read_paths, read_tsm
from pipelines.annotations.published import (
    KINETICS_COLUMNS,
    UCF101_CLASSES,
    read_hmdb51,
    read_json,
    read_kinetics,
    read_something_v1,
    read_something_v2,
    read_ucf101,
)
from pipelines.annotations.rows import Listing
from pipelines.annotations.timed import (
    AUDIOSET_COLUMNS,
    CHARADES_COLUMNS,
    is_vggsound_header,
    read_activitynet,
    read_audioset,
    read_charades,
    read_uncut_kinetics,
    read_vggsound,
)
from pipelines.files.errors import ListError
from pipelines.files.formats import ENDING_PATTERN
from pipelines.files.text import NOT_UTF8, text_lines


class Source(NamedTuple):
    """What a reader is given."""

    path: Path
    media: MediaFolder
    options: PathOptions
    fold: int  # of UCF101 and HMDB51, from 1
    classes: Path | None = None  # the file that names the classes, if one was given


class Format(NamedTuple):
    """One format of lists."""

    read: Callable[[Source], Listing]
    by_name: bool = False  # clips are known by file names that no other clip has, so they may lie in any folder
    numbered: bool = False  # labels are numbers, not names
    several: bool = False  # a clip has any number of labels


FORMATS = {
    "kinetics": Format(lambda source: read_kinetics(source.path), by_name=True),
    "kinetics_uncut": Format(lambda source: read_uncut_kinetics(source.path), by_name=True),
    "vggsound": Format(lambda source: read_vggsound(source.path), by_name=True),
    "audioset": Format(lambda source: read_audioset(source.path, source.classes), by_name=True, several=True),
    "activitynet": Format(lambda source: read_activitynet(source.path, source.media), by_name=True),
    "charades": Format(lambda source: read_charades(source.path, source.classes), by_name=True, several=True),
    "something_v1": Format(lambda source: read_something_v1(source.path), by_name=True),
    "something_v2": Format(lambda source: read_something_v2(source.path), by_name=True),
    "ucf101": Format(lambda source: read_ucf101(source.path, source.fold), by_name=True),
    "hmdb51": Format(lambda source: read_hmdb51(source.path, source.fold), by_name=True),
    "paths": Format(lambda source: read_paths(source.path, source.options), numbered=True),
    "tsm": Format(lambda source: read_tsm(source.path, source.options), numbered=True),
    "folder": Format(lambda source: read_folder(source.path, source.media)),
}


def recognise(path: Path, class_names: Sequence[str] = ()) -> str:
    """The format of a list or folder, a key of FORMATS; only its first lines are looked at. Where the names of the
    classes are known, lines of no other format may hold a path and such a name.

    Raises:
        ListError: the file cannot be read, or its format is not clear.
    """
    if path.is_dir():
        if (path / UCF101_CLASSES).exists():
            return "ucf101"
        return "hmdb51" if any(path.glob("*_test_split?.txt")) else "folder"
    if path.suffix.lower() == ".json":
        content = read_json(path)
        return "activitynet" if isinstance(content, dict) and "database" in content else "something_v2"
    texts = list(text_lines(path))
    lines = [text for _, text in texts if text and not text.startswith("#")][:100]
    if any(text and set(re.split(r"\W+", text)) >= AUDIOSET_COLUMNS for _, text in texts[:10]):
        return "audioset"
    if not lines:
        bad = [f"{path}:{number}: {NOT_UTF8}" for number, text in texts if text is None]
        raise ListError(bad or [f"{path}: the list is empty"])
    if set(KINETICS_COLUMNS[1:]) <= {cell.strip(' "').lower() for cell in lines[0].split(",")}:
        return "kinetics"
    if set(CHARADES_COLUMNS) <= {cell.strip(' "').lower() for cell in lines[0].split(",")}:
        return "charades"
    untitled = lines[1:] if is_vggsound_header(lines[0].split(",")) else lines
    if untitled and all(re.fullmatch(r"[\w-]{11},[\d.]+,.+,(train|test)", line, re.ASCII) for line in untitled):
        return "vggsound"
    if all(re.fullmatch(r'[\w-]{11}, *[\d.]+, *[\d.]+, *"/\w+/.+"', line, re.ASCII) for line in lines):
        return "audioset"
    if path.with_name(UCF101_CLASSES).exists():
        return "ucf101"
    if is_header(lines[0], class_names):
        lines = lines[1:] or lines
    for name, pattern in (
        ("something_v1", r"\d+;.*\D.*"),
        ("paths", rf".+({ENDING_PATTERN})\"?[\s,;].*"),
        ("tsm", r".*\S[\s,;]+\d+[\s,;]+\d+"),
        ("paths", r".*\S[\s,;]+-?\d+"),
    ):
        if all(re.fullmatch(pattern, line, re.IGNORECASE) for line in lines):
            return name
    if class_names and all(re.search(r"\S[\s,;]+\S", line) for line in lines):
        return "paths"
    raise ListError([f"{path}: cannot tell the format from {lines[0]!r}; give it with --format ({', '.join(FORMATS)})"])
