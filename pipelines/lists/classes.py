"""The order of the classes: from a file, or from the labels themselves."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pipelines.clips import ListError
from pipelines.lists.published import read_json
from pipelines.lists.rows import Listing, class_key


def read_classes(path: Path) -> list[str]:
    """Class names in the order of their labels.

    Args:
        path: a text file with one name a line, each perhaps after its number (as in UCF101's classInd.txt), or a JSON
            file with a list of names, {name: number} or {number: name}.

    Raises:
        ListError: no such file, no name, a name twice, or numbers with gaps.
    """
    listing = Listing()
    if path.suffix.lower() == ".json":
        names = _names_of_json(path, read_json(path))
    else:
        names = [text for _, text in listing.lines(path)]
        numbered = [re.fullmatch(r"(\d+)[\s,]+(.+)", name, re.ASCII) for name in names]
        numbers = [int(found[1]) for found in numbered if found]
        if numbers in (list(range(len(names))), list(range(1, len(names) + 1))):
            names = [found[2] for found in numbered]
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    problems = [*listing.problems, *(f"{path}: the class {name!r} stands there twice" for name in twice)]
    if problems or not names:
        raise ListError(problems or [f"{path}: no class name in it; expected one a line"])
    return names


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
    return sorted(set(labels), key=int if numbered else str)


class ClassTable:
    """Tells the number of a class by its name as it stands, or else by what its spellings share.

    With `by_number` the lists give numbers, which must be those of `names`.
    """

    def __init__(self, names: Sequence[str], *, by_number: bool = False):
        known = map(str, range(len(names))) if by_number else names
        self._exact = {name: number for number, name in enumerate(known)}
        by_key = defaultdict(list)
        for name, number in self._exact.items():
            by_key[class_key(name)].append(number)
        self._by_key = {key: numbers[0] for key, numbers in by_key.items() if len(numbers) == 1}

    def number(self, label: str) -> int:
        """Raises ListError if there is no such class."""
        number = self._exact.get(label, self._by_key.get(class_key(label)))
        if number is None:
            raise ListError([f"the class {label!r} is none of the {len(self._exact)} of the class file"])
        return number
