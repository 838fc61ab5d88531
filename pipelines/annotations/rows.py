"""The content of another project's list, in one form for all formats."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from pipelines.dataset.list_line import WHOLE
from pipelines.files.formats import demuxer_of
from pipelines.files.text import NOT_UTF8, text_lines
from pipelines.files.unicode_names import same_form

SPLITS = {
    **dict.fromkeys(("train", "training"), "training"),
    **dict.fromkeys(("val", "valid", "validate", "validation"), "validation"),
    "test": "test",
}
"""What splits are called -> TSAM's name; "test" is the one that TSAM does not use."""


class Row(NamedTuple):
    """One clip."""

    where: str  # the place that names it: "file:line"
    name: str  # file or folder name, perhaps with folders, without a known video ending
    label: str  # name or number of its class
    split: str = ""  # "training", "validation", another one that stays out, or "" where the list does not say
    start: float = 0.0  # seconds, of a piece of a file
    end: float = WHOLE
    others: tuple[str, ...] = ()  # further labels of a clip, in formats with several

    @property
    def labels(self) -> tuple[str, ...]:
        """All of them."""
        return self.label, *self.others


@dataclass
class Listing:
    """What was read of a list."""

    rows: list[Row] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """What is wrong, each as `file:line: what`."""
    classes: list[str] = field(default_factory=list)
    """Class names in the order of the labels, where the format says it."""

    def lines(self, path: Path) -> Iterator[tuple[str, str]]:
        """(`file:line`, text) of the lines of a file that are not blank; bad bytes become a problem."""
        for number, text in text_lines(path):
            if text is None:
                self.problems.append(f"{path}:{number}: {NOT_UTF8}")
            elif text:
                yield f"{path}:{number}", text


def without_ending(path: str) -> str:
    """`a/b.mp4` -> `a/b`; only a known video ending goes, in capitals too, and only once."""
    return os.path.splitext(path)[0] if demuxer_of(path) else path


def unquoted(text: str) -> str:
    """What stands in the quotes of a csv file, if any."""
    text = text.strip()
    return text[1:-1].replace('""', '"') if re.fullmatch(r'"(?:[^"]|"")*"', text) else text


def class_key(name: str) -> str:
    """What the spellings of a class in lists and folders share: `"hitting (a) ball"` and `hitting_a_ball`."""
    return re.sub(r"[\"'()]", "", same_form(name)).strip().replace(" ", "_").casefold()
