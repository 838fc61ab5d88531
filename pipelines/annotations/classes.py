"""The order of the classes: from a file, or from the labels themselves."""

import csv
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pipelines.annotations.published import read_json
from pipelines.annotations.rows import Listing, class_key, unquoted
from pipelines.files.errors import ListError
from pipelines.files.unicode_names import same_form

AUDIOSET_CLASS_COLUMNS = ["index", "mid", "display_name"]
"""Of its class_labels_indices.csv."""


def read_classes(path: Path) -> list[str]:
    """Class names in the order of their labels.

    Args:
        path: a text file with one name a line, each perhaps with its number (as in UCF101's classInd.txt) or in
            quotes, a JSON file with a list of names, {name: number} or {number: name}, or the file of AudioSet or
            Charades.

    Raises:
        ListError: no such file, no name, a name twice, or numbers with gaps.
    """
    listing = Listing()
    if path.suffix.lower() == ".json":
        names = _names_of_json(path, read_json(path))
    else:
        lines = [text for _, text in listing.lines(path)]
        names = list((audioset_names(path) or charades_names(path)).values()) or _without_numbers(lines)
        names = names or _without_numbers(lines[1:]) or lines  # the first one may name the columns
    names = [same_form(unquoted(name)) for name in names]
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    problems = [*listing.problems, *(f"{path}: the class {name!r} is listed twice" for name in twice)]
    if problems or not names:
        raise ListError(problems or [f"{path}: no class name in it; expected one a line"])
    return names


def audioset_names(path: Path) -> dict[str, str]:
    """The names of AudioSet's labels by their ids, such as `/m/09x0r`, in the order of their numbers; empty where
    another file is given.

    Raises:
        ListError: no such file, or a line that is none of `index,mid,display_name`.
    """
    listing, found = Listing(), dict[int, tuple[str, str]]()
    lines = list(listing.lines(path))
    if not lines or [cell.strip().lower() for cell in lines[0][1].split(",")] != AUDIOSET_CLASS_COLUMNS:
        return {}
    for where, text in lines[1:]:
        cells = [cell.strip() for cell in next(csv.reader([text], skipinitialspace=True))]
        if len(cells) != 3 or not re.fullmatch(r"\d{1,9}", cells[0], re.ASCII) or not all(cells):
            listing.problems.append(f"{where}: expected `{','.join(AUDIOSET_CLASS_COLUMNS)}`, got {text!r}")
        elif int(cells[0]) in found:
            listing.problems.append(f"{where}: the number {int(cells[0])} is listed twice")
        else:
            found[int(cells[0])] = cells[1], cells[2]
    if sorted(found) != list(range(len(found))):
        listing.problems.append(f"{path}: expected the numbers 0, 1, 2, ... without gaps")
    names = dict(found[number] for number in sorted(found))
    if len(names) < len(found):
        listing.problems.append(f"{path}: a label is listed twice")
    if listing.problems:
        raise ListError(listing.problems)
    return names


def charades_names(path: Path) -> dict[str, str]:
    """The names of Charades's labels by their ids: `c000 Holding some clothes`; empty where another file is given."""
    found = [re.fullmatch(r"(c\d{3})\s+(\S.*)", text, re.ASCII) for _, text in Listing().lines(path)]
    return {one[1]: one[2] for one in found if one} if all(found) else {}


def _without_numbers(lines: Sequence[str]) -> list[str]:
    """The names in the order of the numbers before or behind them; none unless these are all from 0 or 1 on."""
    for pattern in (r"(?P<number>\d{1,9})[\s,;]+(?P<name>.+)", r"(?P<name>.+?)[\s,;]+(?P<number>\d{1,9})"):
        found = [re.fullmatch(pattern, line, re.ASCII) for line in lines]
        named = {int(one["number"]): one["name"] for one in found if one}
        numbers = sorted(named)
        if len(named) == len(lines) == len(set(named.values())) and numbers in (
            list(range(len(lines))),
            list(range(1, len(lines) + 1)),
        ):
            return [named[number] for number in numbers]
    return []


def _names_of_json(path: Path, content: Any) -> list[str]:
    if isinstance(content, list) and all(isinstance(name, str) for name in content):
        return content
    if isinstance(content, dict):
        for pairs in (content.items(), [(name, number) for number, name in content.items()]):
            by_number = {int(number): name for name, number in pairs if re.fullmatch(r"\d{1,9}", str(number), re.ASCII)}
            if sorted(by_number) == list(range(len(content))) and all(isinstance(x, str) for x in by_number.values()):
                return [by_number[number] for number in range(len(content))]
    raise ListError(
        [f"{path}: expected a JSON list of class names, or an object of names and numbers 0, 1, 2, ... without gaps"]
    )


def labels_in_order(labels: Iterable[str], *, numbered: bool) -> list[str]:
    """The distinct labels in the order of their numbers, or else of the alphabet (of their code points)."""
    return sorted(set(map(same_form, labels)), key=int if numbered else str)


class ClassTable:
    """Finds the number of a class by its name, in any Unicode form, or else by what its spellings share.

    With `by_number` the lists give numbers, which must be those of `names`.
    """

    def __init__(self, names: Sequence[str], *, by_number: bool = False):
        known = map(str, range(len(names))) if by_number else names
        self._exact = {same_form(name): number for number, name in enumerate(known)}
        by_key = defaultdict(list)
        for name, number in self._exact.items():
            by_key[class_key(name)].append(number)
        self._by_key = {key: numbers[0] for key, numbers in by_key.items() if len(numbers) == 1}

    def number(self, label: str) -> int:
        """Raises ListError if there is no such class."""
        number = self._exact.get(same_form(label), self._by_key.get(class_key(label)))
        if number is None:
            raise ListError([f"the class {label!r} is none of the {len(self._exact)} of the class file"])
        return number
