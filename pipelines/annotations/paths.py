"""Lists of paths with a class: mmaction2's and SlowFast's `path label`, TSM's `path n_frames label`."""

import os
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipelines.annotations.rows import Listing, Row, class_key, unquoted, without_ending
from pipelines.files.formats import ENDING_PATTERN

_PATHS = set(
    "path file filename filepath video videoname videopath videofile clip clipname clippath id name".split()  # noqa: SIM905
)
_LABELS = set("label labels labelname class classname category action target".split())  # noqa: SIM905


@dataclass(frozen=True, kw_only=True)
class PathOptions:
    """How to read the paths and labels of a list."""

    root: Path
    """Folder of the clips, to which ids are relative."""
    delimiter: str = ""
    """Separator of the fields; "" for the one that the first line shows: white space, a tab, `,` or `;`."""
    strip: str = ""
    """Leading folder to cut from the paths."""
    first_label: int = 0
    """Number of the first class."""
    class_names: Sequence[str] = ()
    """Names of the classes, if they are known: labels may be names then."""


def read_paths(path: Path, options: PathOptions) -> Listing:
    """`path label`; the label is a number, or the name of a class where the names are known."""
    return _read(path, options, _one_label)


def read_tsm(path: Path, options: PathOptions) -> Listing:
    """`path n_frames label`; the number of frames is not needed."""
    return _read(path, options, _label_after_frames)


def _read(path: Path, options: PathOptions, label_of: Callable[[str, str], str]) -> Listing:
    listing, delimiter, first = Listing(), options.delimiter, True
    known = frozenset(map(class_key, options.class_names))
    for where, text in listing.lines(path):
        if text.startswith("#"):
            continue
        header, first = first and is_header(text, options.class_names), False
        if header:
            continue
        delimiter = delimiter or guess_delimiter(text)
        gap = _gap(delimiter)
        try:
            name, rest = _split_line(text, delimiter, known)
            label = _label(unquoted(label_of(rest, gap)), options)
            listing.rows.append(Row(where, _relative(name, options), label))
        except ValueError as error:
            listing.problems.append(f"{where}: {error}")
    return listing


def is_header(text: str, class_names: Sequence[str] = ()) -> bool:
    """Whether a first line names the columns, as `path,label` does."""
    cells = re.split(r"\s*[,;\t]\s*" if re.search("[,;\t]", text) else r"\s+", text)
    known = set(map(class_key, class_names))
    words = [re.sub(r"[^a-z]", "", cell.lower()) for cell in cells]
    return len(words) > 1 and words[0] in _PATHS and words[-1] in _LABELS and class_key(cells[-1]) not in known


def guess_delimiter(text: str) -> str:
    """The separator of a line's fields: what follows a video ending or a quoted path, or precedes the number or the
    quoted name at the end; else a tab, `,` or `;` anywhere; a space stands for white space.
    """
    for pattern in (
        rf"(?:{ENDING_PATTERN})\"?\s*?([,;\t])",
        r'"(?:[^"]|"")*"\s*?([,;\t])',
        r"([,;\t])\s*-?\d+$",
    ):
        if found := re.search(pattern, text, re.IGNORECASE):
            return found[1]
    if re.search(rf"(?:{ENDING_PATTERN})\"?\s|\s-?\d+$", text, re.IGNORECASE):
        return " "
    return next((mark for mark in "\t,;" if mark in text), " ")


def _gap(delimiter: str) -> str:
    """The pattern of the separator of two fields."""
    return r"\s+" if delimiter.isspace() and delimiter != "\t" else rf"\s*{re.escape(delimiter)}\s*"


def _split_line(text: str, delimiter: str, known: Collection[str]) -> tuple[str, str]:
    """A line -> (path, what stands behind it). The path may hold the delimiter if it is quoted or has a video ending,
    or if the name of a class follows, of which the keys are `known`.
    """
    gap = _gap(delimiter)
    for pattern in (
        rf'"(?P<path>(?:[^"]|"")*)"{gap}(?P<rest>.*)',
        rf"(?P<path>.*(?:{ENDING_PATTERN})){gap}(?P<rest>.*)",
        rf"(?P<path>.*?\S){gap}(?P<rest>-?\d+(?:{gap}-?\d+)*)",  # no ending: all numbers at the end are fields
    ):
        if found := re.fullmatch(pattern, text, re.IGNORECASE):
            path = found["path"].replace('""', '"') if text.startswith('"') else found["path"]
            return path, found["rest"]
    gaps = list(re.finditer(gap, text))
    for found in gaps:  # the longest name of a class, as it may hold the delimiter, too
        if class_key(unquoted(text[found.end() :])) in known:
            return text[: found.start()], text[found.end() :]
    if not gaps:
        raise ValueError(f"expected a path, {delimiter!r} and a label, got {text!r}; see --delimiter")
    return text[: gaps[-1].start()], text[gaps[-1].end() :]


def _one_label(rest: str, gap: str) -> str:
    fields = re.split(gap, rest)
    if len(fields) > 1 and all(field.removeprefix("-").isdecimal() for field in fields):
        raise ValueError(
            f"several labels or numbers ({', '.join(fields)}); a clip has one class here "
            "(if they are the number of frames and the label: --format tsm)"
        )
    return rest


def _label_after_frames(rest: str, gap: str) -> str:
    fields = re.split(gap, rest, maxsplit=1)
    if len(fields) == 2 and fields[0].isdecimal() and not re.fullmatch(rf"-?\d+({gap}-?\d+)+", fields[1]):
        return fields[1]
    raise ValueError(
        f"expected `path n_frames label` with one label, got {' '.join(re.split(gap, rest))!r} after the path"
    )


def _label(text: str, options: PathOptions) -> str:
    first = options.first_label
    if options.class_names and not re.fullmatch(r"-?\d+", text, re.ASCII):
        return text
    if re.fullmatch(r"-\d+", text, re.ASCII):
        raise ValueError(f"the label is negative: {text}; lists of a test set often stand for `unknown` so")
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
        names = "" if options.class_names else "; a list with the names of classes needs --classes"
        raise ValueError(f"the label must be a whole number from {first}, got {text!r}{names}")
    if int(text) < first:
        raise ValueError(f"label {text} is below the first label, {first} (--first_label)")
    return str(int(text) - first)


def _relative(path: str, options: PathOptions) -> str:
    """The id that a path means: without --strip and the clips' folder before it, without its ending."""
    name = PurePosixPath(path)
    for folder in (options.strip, os.path.abspath(options.root)):
        if folder and name.is_relative_to(folder):
            name = name.relative_to(folder)
    if name.is_absolute() or ".." in name.parts:
        raise ValueError(f"the path leaves the folder of the clips, {options.root}: {path!r}; see --strip")
    return without_ending(str(name))
