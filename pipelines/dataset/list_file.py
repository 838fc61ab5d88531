"""List files: one `ID label` a line, or one `ID START END label` for each piece of a file."""

import logging
import re
from array import array
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple, overload

from pipelines.dataset.clips import Dataset
from pipelines.dataset.list_line import WHOLE, Form, file_of, id_problem
from pipelines.dataset.targets import AnyTargets, Classes
from pipelines.files.errors import ListError
from pipelines.files.text import NOT_UTF8, text_lines
from pipelines.files.tool_command import tool_command
from pipelines.files.words import counted

log = logging.getLogger(__name__)

Split = Literal["training", "validation"]
SPLITS: tuple[Split, Split] = ("training", "validation")
CLASSES = Classes()
_PART = "[A-Za-z0-9_-][A-Za-z0-9_.-]*"
_PLAIN = re.compile(rf"{_PART}(?:/{_PART})*[ \t]+[0-9]{{1,9}}")
"""A line with nothing wrong, as most are; to look at it in detail takes three times as long."""


class Entry(NamedTuple):
    """One line of a list file."""

    id: str  # of the clip: that of its file, and for a piece its times
    label: int  # its class; -1 in other tasks
    line: int
    start: float = 0.0  # seconds on the clock of the file
    end: float = WHOLE
    target: str = ""  # of other tasks, see `pipelines.dataset.targets`

    @property
    def learnt(self) -> int | str:
        """Its class, or its target."""
        return self.target or self.label

    @property
    def file(self) -> str:
        """Id of the file."""
        return file_of(self.id, self.end)


class Entries(Sequence[Entry]):
    """The lines of a long list as columns; each entry is made when it is asked for."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.labels, self.lines = array("i"), array("i")
        self.starts, self.ends = array("d"), array("d")  # of pieces; of whole files there are none
        self.targets: list[str] = []  # of classes there are none

    def append(self, entry: Entry) -> None:
        self.ids.append(entry.id)
        self.labels.append(entry.label)
        self.lines.append(entry.line)
        if entry.end != WHOLE:
            self.starts.append(entry.start)
            self.ends.append(entry.end)
        if entry.target:
            self.targets.append(entry.target)

    @property
    def files(self) -> list[str]:
        """Id of each entry's file."""
        return [file_of(*both) for both in zip(self.ids, self.ends, strict=True)] if self.ends else self.ids

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, row: int) -> Entry: ...
    @overload
    def __getitem__(self, row: slice) -> list[Entry]: ...
    def __getitem__(self, row: int | slice) -> Entry | list[Entry]:
        if isinstance(row, slice):
            return [self[i] for i in range(*row.indices(len(self)))]
        entry = Entry(*(column[row] for column in self._columns))
        return entry._replace(target=self.targets[row]) if self.targets else entry

    def __iter__(self) -> Iterator[Entry]:
        return map(self.__getitem__, range(len(self))) if self.targets else map(Entry, *self._columns)

    @property
    def _columns(self) -> tuple[Sequence[Any], ...]:
        return self.ids, self.labels, self.lines, *((self.starts, self.ends) if self.ends else ())


def read_lists(dataset: Dataset, splits: Sequence[str] = SPLITS) -> dict[str, Entries]:
    """The lists of a data set, by split.

    Raises:
        ListError: with every problem of all of them; see `read_list`.
    """
    lists, problems = {}, []
    for split in splits:
        try:
            lists[split] = read_entries(dataset.list_file(split), dataset.targets)
        except ListError as error:
            problems += error.problems
    if problems:
        raise ListError(problems)
    return lists


def listed_ids(dataset: Dataset) -> list[str]:
    """The ids of all files, each once, in the order of the lists; errors as in `read_lists`."""
    return list(dict.fromkeys(file for entries in read_lists(dataset).values() for file in entries.files))


def read_list(path: str | Path) -> list[Entry]:
    """The entries of a list file; see `read_entries`."""
    return list(read_entries(path))


def read_entries(path: str | Path, targets: AnyTargets = CLASSES) -> Entries:
    """Read a list file: one `ID label` or `ID START END label` a line; blank lines, `#` comments, CRLF and a byte order
    mark are fine.

    A header, `id label` or `id start end label`, says which; without one, the first line does. An id may hold spaces
    (the label is what follows the last one). A line that repeats a clip with the same label is left out with a warning.
    In the place of the label stands what `targets` describes.

    Raises:
        ListError: with every problem of the file, each as `file:line: what is wrong`.
    """
    entries, form = Entries(), Form()
    problems: list[str] = []
    row_of: dict[str, int] = {}
    repeated: list[int] = []
    for number, text in text_lines(path):
        if text is None:
            problems.append(f"{path}:{number}: {NOT_UTF8}")
            continue
        if not text or text.startswith("#"):
            continue
        try:
            entry = None if form.is_header(text, number) else _entry(form, targets, text, number)
        except ValueError as error:
            problems.append(f"{path}:{number}: {error}")
            continue
        if entry is None:
            continue
        row = row_of.setdefault(entry.id, len(entries))
        if row == len(entries):
            entries.append(entry)
        elif (first := entries[row]).learnt != entry.learnt:
            what = f"{'label ' if entry.target == '' else ''}{entry.learnt}"
            problems.append(f"{path}:{number}: {entry.id!r} has {what}, but line {first.line} gives it {first.learnt}")
        else:
            repeated.append(number)
    if not entries and not problems:
        problems.append(f"{path}: the list is empty; expected one `ID label` a line")
    if problems:
        raise ListError(problems)
    if repeated:
        lines = counted(len(repeated), "line repeats a clip and is", "lines repeat a clip and are")
        log.warning("%s: %s left out, the first is line %d", path, lines, repeated[0])
    if overlaps := _overlaps(entries):
        pairs = counted(len(overlaps), "pair of pieces overlaps", "pairs of pieces overlap")
        log.warning("%s: %s with other labels, the first in lines %d and %d", path, pairs, *overlaps[0])
    return entries


def _entry(form: Form, targets: AnyTargets, text: str, number: int) -> Entry:
    """What a line says; raises ValueError with what is wrong with it."""
    if not form.timed and not targets.size and _PLAIN.fullmatch(text):
        clip_id, label = text.rsplit(None, 1)
        return Entry(clip_id, int(label), number)
    line = form.split(text)
    if problem := targets.problem(line.target) or id_problem(line.file):
        raise ValueError(problem)
    if targets.size and line.file.endswith(","):
        raise ValueError(f"no spaces may stand between {type(targets).__name__.lower()}, got {text!r}")
    known = -1 if targets.size else int(line.target)
    return Entry(line.id, known, number, line.start, line.end, targets.same_form(line.target))


def _overlaps(entries: Entries) -> list[tuple[int, int]]:
    """The lines of pieces that share a part of a file but not the label: of each, one that begins before it."""
    found: list[tuple[int, int]] = []
    last: dict[tuple[str, int | str], Entry] = {}  # that ends last, of a file and label
    labels_of: dict[str, set[int | str]] = {}
    for entry in sorted(entries, key=lambda entry: entry.start) if entries.ends else ():
        labels = labels_of.setdefault(entry.file, set())
        for label in labels - {entry.learnt}:
            if (other := last[entry.file, label]).end > entry.start:
                found.append((min(other.line, entry.line), max(other.line, entry.line)))
                break
        labels.add(entry.learnt)
        if (known := last.get((entry.file, entry.learnt))) is None or known.end < entry.end:
            last[entry.file, entry.learnt] = entry
    return sorted(found)


def columns_hint(clip_id: str) -> str:
    """What to add where a clip is missing whose id ends like a line of TSM's lists, `path frames label`."""
    if not re.search(r"\s\d+$", clip_id):
        return ""
    return f"; if the list's lines are `path frames label`, {tool_command('make_lists')} converts it"


def check_labels(training: Sequence[Entry], validation: Sequence[Entry], class_names: Sequence[str] = ()) -> list[str]:
    """Problems of the classes of two lists (empty: none): labels are 0..k-1 without gaps, k from the training list."""
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
