"""List files: one `ID label` a line."""

import logging
import posixpath
import re
import unicodedata
from array import array
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple, overload

from pipelines.dataset.clips import Dataset
from pipelines.files.errors import ListError
from pipelines.files.unicode_names import name_hint
from pipelines.files.words import counted

log = logging.getLogger(__name__)

Split = Literal["training", "validation"]
SPLITS: tuple[Split, Split] = ("training", "validation")
NOT_UTF8 = (
    "not UTF-8 text, but perhaps Latin-1, Windows-1252 or UTF-16; save the file as UTF-8, for example with "
    "iconv -f WINDOWS-1252 -t UTF-8"
)


_PART = "[A-Za-z0-9_-][A-Za-z0-9_.-]*"
_PLAIN = re.compile(rf"{_PART}(?:/{_PART})*[ \t]+[0-9]{{1,9}}")
"""A line with nothing wrong, as most are; `_line_problem` takes three times as long."""


class Entry(NamedTuple):
    """One line of a list file."""

    id: str
    label: int
    line: int


class Entries(Sequence[Entry]):
    """The lines of a long list as columns; each entry is made when it is asked for."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.labels, self.lines = array("i"), array("i")

    def append(self, clip_id: str, label: int, line: int) -> None:
        self.ids.append(clip_id)
        self.labels.append(label)
        self.lines.append(line)

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, row: int) -> Entry: ...
    @overload
    def __getitem__(self, row: slice) -> list[Entry]: ...
    def __getitem__(self, row: int | slice) -> Entry | list[Entry]:
        if isinstance(row, slice):
            return list(map(Entry, self.ids[row], self.labels[row], self.lines[row]))
        return Entry(self.ids[row], self.labels[row], self.lines[row])

    def __iter__(self) -> Iterator[Entry]:
        return map(Entry, self.ids, self.labels, self.lines)


def read_lists(dataset: Dataset, splits: Sequence[str] = SPLITS) -> dict[str, Entries]:
    """The lists of a data set, by split.

    Raises:
        ListError: with every problem of all of them; see `read_list`.
    """
    lists, problems = {}, []
    for split in splits:
        try:
            lists[split] = read_entries(dataset.list_file(split))
        except ListError as error:
            problems += error.problems
    if problems:
        raise ListError(problems)
    return lists


def listed_ids(dataset: Dataset) -> list[str]:
    """The ids of all clips, each once, in the order of the lists; errors as in `read_lists`."""
    return list(dict.fromkeys(clip_id for entries in read_lists(dataset).values() for clip_id in entries.ids))


def read_list(path: str | Path) -> list[Entry]:
    """The entries of a list file; see `read_entries`."""
    return list(read_entries(path))


def read_entries(path: str | Path) -> Entries:
    """Read a list file: one `ID label` a line; blank lines, `#` comments, CRLF and a byte order mark are fine.

    An id may hold spaces (the label is what follows the last one). A line that repeats an id with the same label is
    left out with a warning.

    Raises:
        ListError: with every problem of the file, each as `file:line: what is wrong`.
    """
    entries = Entries()
    problems: list[str] = []
    row_of: dict[str, int] = {}
    repeated: list[int] = []
    for number, text in text_lines(path):
        if text is None:
            problems.append(f"{path}:{number}: {NOT_UTF8}")
            continue
        if not text or text.startswith("#"):
            continue
        problem = None if _PLAIN.fullmatch(text) else _line_problem(text)
        if problem:
            problems.append(f"{path}:{number}: {problem}")
            continue
        clip_id, label = text.rsplit(None, 1)
        row = row_of.setdefault(clip_id, len(entries))
        if row == len(entries):
            entries.append(clip_id, int(label), number)
        elif (first := entries[row]).label != int(label):
            problems.append(
                f"{path}:{number}: {clip_id!r} has label {label}, but line {first.line} gives it {first.label}"
            )
        else:
            repeated.append(number)
    if not entries and not problems:
        problems.append(f"{path}: the list is empty; expected one `ID label` a line")
    if problems:
        raise ListError(problems)
    if repeated:
        lines = counted(len(repeated), "line repeats a clip and is", "lines repeat a clip and are")
        log.warning("%s: %s left out, the first is line %d", path, lines, repeated[0])
    return entries


def text_lines(path: str | Path) -> Iterator[tuple[int, str | None]]:
    """The lines of a text file: (line number from 1, stripped text or None where the bytes are not UTF-8).

    Raises:
        ListError: the file cannot be read, or is UTF-16.
    """
    for number, raw in enumerate(_content(path).splitlines(), 1):
        try:
            yield number, raw.decode("utf-8").strip()
        except UnicodeDecodeError:
            yield number, None


def read_text(path: str | Path) -> str:
    """All of a UTF-8 text file, whatever the locale, without a byte order mark.

    Raises:
        ListError: the file cannot be read, or is no UTF-8 text.
    """
    data = _content(path)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ListError([f"{path}:{line}: {NOT_UTF8}"]) from error


def _content(path: str | Path) -> bytes:
    """The bytes of a text file without a byte order mark; raises ListError."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ListError([f"{path}: cannot be read ({error.strerror}){name_hint(path)}"]) from error
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or (len(data) > 3 and not (any(data[:8:2]) and any(data[1:8:2]))):
        raise ListError([f"{path}:1: UTF-16 text; save it as UTF-8"])  # every other byte of ASCII letters is 0
    return data.removeprefix(b"\xef\xbb\xbf")


def _line_problem(text: str) -> str | None:
    """What is wrong with one line of a list, or None."""
    parts = text.rsplit(None, 1)
    if len(parts) != 2:
        return f"expected `ID label`, got {text!r}"
    clip_id, label = parts
    if not (label.isascii() and label.isdecimal() and len(label) <= 9):
        return f"the label must be a whole number from 0, got {label!r}"
    return id_problem(clip_id)


def id_problem(clip_id: str) -> str | None:
    """Why an id cannot stand in a list, or None."""
    if not clip_id.isprintable():
        control = any(unicodedata.category(character) == "Cc" for character in clip_id)
        return f"the id holds {'control characters' if control else 'invisible characters or odd spaces'}: {clip_id!r}"
    if not clip_id or clip_id != clip_id.strip() or clip_id.startswith("#"):
        return f"an id must not be empty, begin with # or begin or end with a space: {clip_id!r}"
    if clip_id.startswith(("/", "~")) or ".." in clip_id.split("/"):
        return f"the id leaves the data folder: {clip_id!r}"
    if not {"", "."}.isdisjoint(clip_id.split("/")):  # two names of one file would count as two clips
        return f"the id holds an empty part or '.': {clip_id!r}; write {posixpath.normpath(clip_id)!r}"
    return None


def columns_hint(clip_id: str) -> str:
    """What to add where a clip is missing whose id ends like a line of TSM's lists, `path frames label`."""
    if not re.search(r"\s\d+$", clip_id):
        return ""
    return "; if the list's lines are `path frames label`, tools/make_lists.py converts it"


def check_labels(training: Sequence[Entry], validation: Sequence[Entry], class_names: Sequence[str] = ()) -> list[str]:
    """Problems of the labels of two lists (empty: none): labels are 0..k-1 without gaps, k from the training list."""
    present = {entry.label for entry in training}
    last = max(training, key=lambda entry: entry.label)
    num_class = last.label + 1
    problems = []
    gaps = list(islice((label for label in range(num_class) if label not in present), 11))
    if gaps:
        shown = ", ".join(map(str, gaps[:10])) + (", ..." if len(gaps) > 10 else "")
        problems.append(
            f"training list: labels run from 0 to {last.label} (line {last.line}), but no clip has label {shown}; "
            "labels must be consecutive integers starting from 0"
        )
    unknown = sorted({entry.label for entry in validation if entry.label >= num_class})
    if unknown:
        problems.append(
            f"validation list: labels {unknown[:10]} do not occur in the training list (0 to {num_class - 1})"
        )
    if class_names and len(class_names) != num_class:
        names, classes = counted(len(class_names), "name"), counted(num_class, "class", "classes")
        problems.append(f"dataset.class_names: {names} for {classes} in the training list")
    return problems
