"""Rows of other projects' lists -> TSAM's two lists: the file of each clip, labels without gaps, a split."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.annotations.classes import ClassTable, labels_in_order
from pipelines.annotations.media import MediaFolder
from pipelines.annotations.rows import Listing, Row
from pipelines.annotations.split import TSAM_SPLITS, Folds, ListedClip, draw_folds, draw_validation
from pipelines.dataset.list_line import clip_id as clip_id_of
from pipelines.dataset.list_line import id_problem
from pipelines.files.errors import ListError
from pipelines.files.unicode_names import locale_hint
from pipelines.files.words import counted

FOLD = "fold_"
"""What the name of a fold's folder begins with; its number from 1 follows."""


@dataclass
class Lists:
    """The two lists, or those of each fold, and what to report about them."""

    clips: dict[str, dict[str, list[ListedClip]]]
    """Those of "training" and "validation", by the folder of the two lists: "" or, with folds, "fold_1", ..."""
    classes: list[str]
    """Name of each class, in the order of the labels."""
    missing: list[Row]
    """Clips without a file."""
    unusable: list[str]
    """Files that no list can hold, as their names are: a line of text for each."""
    warnings: list[str]
    several: bool = False
    """Clips have any number of the classes: the task is `labels`."""


def build_lists(
    listing: Listing,
    media: MediaFolder,
    *,
    by_name: bool,
    numbered: bool,
    several: bool = False,
    classes: Sequence[str] = (),
    keep_missing: bool = False,
    fraction: float = 0.2,
    seed: int = 0,
    folds: Folds | None = None,
) -> Lists:
    """TSAM's lists of what was read.

    Args:
        listing: rows and problems of all sources.
        media: where the clips lie.
        by_name, numbered, several: see `formats.Format`.
        classes: names in the order of the labels; empty: the order of the labels themselves.
        keep_missing: list clips without a file, too, under the name that the row gives.
        fraction, seed: see `draw_validation`, which is used where no row is for validation.
        folds: split all rows for training and validation anew; see `draw_folds`.

    Raises:
        ListError: with every problem of the listing and of its rows.
    """
    problems = list(listing.problems)
    warnings: list[str] = []
    rows = _used(listing.rows, warnings)
    if folds:
        rows = [row._replace(split="training") for row in rows]
    names = list(
        classes
        or listing.classes
        or labels_in_order((label for row in rows for label in row.labels), numbered=numbered)
    )
    table = ClassTable(names, by_number=numbered and bool(classes))
    found: list[ListedClip] = []
    missing: list[Row] = []
    unusable: list[str] = []
    for row in rows:
        try:
            clip_id = _find(row, media, by_name)
            name = row.name if clip_id is None else clip_id
            problem = id_problem(name)
            if problem and clip_id is None:
                raise ListError([problem])
            labels = tuple(sorted(set(map(table.number, row.labels))))
        except ListError as error:
            problems += [f"{row.where}: {problem}" for problem in error.problems]
            continue
        if problem:
            unusable.append(f"{row.where}: {problem}{locale_hint(name)}")
            continue
        if clip_id is None:
            missing.append(row)
        if clip_id or keep_missing:
            found.append(ListedClip(clip_id_of(name, row.start, row.end), labels, row))
    odd = [clip.id for clip in found if locale_hint(clip.id)]
    if odd:
        hold = counted(len(odd), "name holds", "names hold")
        warnings.append(f"{hold} letters beyond ASCII, for example {odd[0]!r}{locale_hint(odd[0])}")
    clips = _without_repeats(found, names, problems, warnings)
    if not problems:
        problems += _empty_lists(rows, clips, media)
    if problems:
        raise ListError(problems)
    if not (clips["validation"] or folds):
        clips = draw_validation(clips["training"], fraction, seed, warnings)
    if not several:
        clips, names = _without_gaps(clips, names, warnings)
    elif lost := set(range(len(names))) - {label for clip in clips["training"] for label in clip.labels}:
        have = counted(len(lost), "label has", "labels have")
        warnings.append(f"{have} no training clip, for example {names[min(lost)]!r}: all keep their numbers")
    parts = {"": clips}
    if folds:
        drawn = draw_folds(clips["training"], names, folds, seed, warnings)
        parts = {f"{FOLD}{number}": part for number, part in enumerate(drawn, 1)}
    return Lists(parts, names, missing, unusable, warnings, several)


def _used(rows: list[Row], warnings: list[str]) -> list[Row]:
    """The rows of the two splits; one without a split is for training."""
    rows = [row._replace(split=row.split or "training") for row in rows]
    others = Counter(row.split for row in rows if row.split not in TSAM_SPLITS)
    warnings += [f"left out: {counted(count, 'clip')} of the split {split!r}" for split, count in others.items()]
    return [row for row in rows if row.split in TSAM_SPLITS]


def _find(row: Row, media: MediaFolder, by_name: bool) -> str | None:
    """The id of a row's clip, None without a file; raises ListError if several could be meant."""
    found = media.find(row, by_name=by_name)
    if len(found) > 1:
        raise ListError([f"{row.name!r} lies in several places: {', '.join(found[:4])}; expected one of that name"])
    return found[0] if found else None


def _without_repeats(
    found: list[ListedClip], names: list[str], problems: list[str], warnings: list[str]
) -> dict[str, list[ListedClip]]:
    """The clips of each split, each once. Two classes for one clip are a problem.

    A clip in both lists is a warning only: some published lists have such clips, and taking them out would make
    scores that nobody can compare.
    """
    first: dict[str, ListedClip] = {}
    chosen: dict[tuple[str, str], ListedClip] = {}
    for clip in found:
        known = first.setdefault(clip.id, clip)
        if known.labels != clip.labels:
            own, other = (", ".join(repr(names[label]) for label in one.labels) for one in (clip, known))
            problems.append(f"{clip.row.where}: {clip.id!r} is of class {own}, but {known.row.where} says {other}")
        chosen.setdefault((clip.row.split, clip.id), clip)
    clips = {split: [clip for key, clip in chosen.items() if key[0] == split] for split in TSAM_SPLITS}
    repeated = len(found) - len(chosen)
    if repeated:
        lines = counted(repeated, "line repeats", "lines repeat")
        warnings.append(f"{lines} a clip of the same list with the same class: it is listed once")
    both = sorted({clip.id for clip in clips["training"]} & {clip.id for clip in clips["validation"]})
    if both:
        are = counted(len(both), "clip is", "clips are")
        warnings.append(f"{are} in both lists, for example {both[0]}: validation scores will be too high")
    return clips


def _empty_lists(rows: list[Row], clips: dict[str, list[ListedClip]], media: MediaFolder) -> list[str]:
    """Problems: a list that would be empty."""
    if not any(row.split == "training" for row in rows):
        return ["no line names a clip for training"]
    problems = []
    for split in TSAM_SPLITS:
        wanted = [row.name for row in rows if row.split == split]
        if wanted and not clips[split]:
            problems.append(
                f"none of the {len(wanted)} {split} clips lies in {media.root}; looked for {wanted[0]!r}, "
                f"and the folder holds {min(media.ids, default='no clip')!r}; see --videos, --frames and --strip"
                f"{media.capitals_hint()}{_backslash_hint(wanted[0])}{_uncut_hint(wanted, media)}"
            )
    return problems


def _backslash_hint(name: str) -> str:
    """What to add where a path may be one of Windows."""
    return "; a backslash is part of a name here and does not separate folders: write / instead" * ("\\" in name)


def _uncut_hint(names: list[str], media: MediaFolder) -> str:
    """What to add where the videos of Kinetics seem to be whole."""
    cut = (re.fullmatch(r"(.+)_\d{6}_\d{6}", name) for name in names)
    whole = any(found and found[1] in media.ids for found in cut)
    return "; of whole videos --format kinetics_uncut lists the pieces" if whole else ""


def _without_gaps(
    clips: dict[str, list[ListedClip]], names: list[str], warnings: list[str]
) -> tuple[dict[str, list[ListedClip]], list[str]]:
    """Clips and class names with the classes that have a training clip only, numbered from 0."""
    kept = sorted({clip.labels[0] for clip in clips["training"]})
    lost = [name for label, name in enumerate(names) if label not in set(kept)]
    if lost:
        warnings.append(
            f"without a training clip and left out: {len(lost)} of {len(names)} classes, for example {lost[0]!r}: "
            "the others get new numbers"
        )
    number = {label: i for i, label in enumerate(kept)}
    dropped = sum(clip.labels[0] not in number for clip in clips["validation"])
    if dropped:
        warnings.append(f"{dropped} validation clips are of those classes and are left out")
    renumbered = {
        split: [clip._replace(labels=(number[clip.labels[0]],)) for clip in clips[split] if clip.labels[0] in number]
        for split in TSAM_SPLITS
    }
    if clips["validation"] and not renumbered["validation"]:
        raise ListError(["no validation clip is of a class that has a training clip"])
    return renumbered, [names[label] for label in kept]
