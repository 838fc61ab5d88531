"""A validation list drawn from the training clips, or folds of all clips."""

import re
import warnings as python_warnings
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from pipelines.annotations.rows import Row
from pipelines.dataset.list_line import WHOLE, file_of
from pipelines.files.errors import ListError
from pipelines.files.words import counted, first_of

TSAM_SPLITS = ("training", "validation")


class ListedClip(NamedTuple):
    """A clip of one of the two lists."""

    id: str
    labels: tuple[int, ...]  # growing; of formats with one class for each clip, that one
    row: Row  # where it comes from


class Folds(NamedTuple):
    """How clips are split for a cross-validation."""

    number: int
    group: str = ""  # expression that finds in an id what its clip shares with others; "": the pieces of a file

    def group_of(self, clip: ListedClip) -> str:
        """What the first brackets of the expression find, or all of it if it has none; "" where it finds nothing."""
        if not self.group:
            return file_of(clip.id, clip.row.end)
        found = re.search(self.group, clip.id)
        return (found[min(1, found.re.groups)] or "") if found else ""


def draw_validation(
    clips: Sequence[ListedClip], fraction: float, seed: int, warnings: list[str]
) -> dict[str, list[ListedClip]]:
    """Split files at random, in each class in the same proportion; a class with a single file stays in training. The
    pieces of a file stay together, and every class keeps a clip for training.

    The draw depends on the clips' ids and classes and on the seed, not on the order of the clips.

    Args:
        clips: clips of one list.
        fraction: share of the files that are drawn, above 0 and at most 0.5. At least as many are drawn as there are
            classes, so that each can have one.
        seed: of the draw.
        warnings: what is to be said of it is added.

    Raises:
        ListError: no file could be drawn without taking a class out of training.
    """
    from sklearn.model_selection import train_test_split  # takes longer to import than all else here to run

    labels_of: dict[str, set[int]] = {}  # of each file
    for clip in clips:
        labels_of.setdefault(file_of(clip.id, clip.row.end), set()).update(clip.labels)
    sizes = Counter(label for labels in labels_of.values() for label in labels)
    drawable = sorted(file for file, labels in labels_of.items() if all(sizes[label] > 1 for label in labels))
    pieces = any(clip.row.end != WHOLE for clip in clips)
    what = "file" if pieces else "clip"
    if not drawable:
        raise ListError(
            [f"there is no validation list, and no class has two {what}s of which one could be drawn for it"]
        )
    if single := sum(size == 1 for size in sizes.values()):
        have = counted(single, "class has", "classes have")
        warnings.append(f"{have} a single {what}, which goes to training: validation lacks them")
    drawn = set(drawable)
    if len(drawable) > 1:
        kinds = _kinds([labels_of[file] for file in drawable], sizes)
        count = max(int(len(drawable) * fraction), len(set(kinds)))
        drawn = set(train_test_split(drawable, test_size=count, random_state=seed, stratify=kinds)[1])
    # Files of several classes are drawn by their rarest one: all of another class may have gone.
    while lost := sizes.keys() - set().union(*(labels for file, labels in labels_of.items() if file not in drawn)):
        drawn.remove(min(file for file in drawn if lost & labels_of[file]))
    parts: dict[str, list[ListedClip]] = {split: [] for split in TSAM_SPLITS}
    for clip in clips:
        parts["validation" if file_of(clip.id, clip.row.end) in drawn else "training"].append(clip)
    count = len(parts["validation"])
    together = ", with all pieces of a file in one list" if pieces else ""
    drawn_for_it = f"{len(clips)} clips {'was' if count == 1 else 'were'} drawn for it"
    warnings.append(f"no validation list was given: {count} of {drawn_for_it}, seed {seed}{together}")
    return parts


def _kinds(labels: Sequence[Collection[int]], sizes: Mapping[int, int]) -> list[int]:
    """The rarest label of each of at least two files; those of which there would be one only are joined, to each other
    or to the most frequent kind."""
    kinds = [_rarest(some, sizes) for some in labels]
    common = Counter(kinds).most_common()
    single = {kind for kind, count in common if count == 1}
    joined = min(single) if len(single) > 1 else common[0][0]
    return [joined if kind in single else kind for kind in kinds]


def _rarest(labels: Collection[int], sizes: Mapping[int, int]) -> int:
    return min(labels, key=lambda label: (sizes[label], label))


def draw_folds(
    clips: Sequence[ListedClip], names: Sequence[str], folds: Folds, seed: int, warnings: list[str]
) -> list[dict[str, list[ListedClip]]]:
    """Split clips into folds with all groups whole and the classes spread as evenly as that allows.

    The draw depends on the clips' ids and classes and on the seed, not on the order of the clips.

    Args:
        clips: all of them, each once.
        names: of the classes.
        folds: how many, and what the groups are.
        seed: of the draw.
        warnings: what is to be said of it is added.

    Raises:
        ListError: clips without a group, too few groups, or a fold without a clip of a class for its training.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    clips = sorted(clips, key=lambda clip: clip.id)
    groups, frequency = list(map(folds.group_of, clips)), Counter(label for clip in clips for label in clip.labels)
    kinds = [_rarest(clip.labels, frequency) for clip in clips]
    lost = [clip for clip, group in zip(clips, groups, strict=True) if not group]
    if lost:
        raise ListError([f"{clip.row.where}: --group {folds.group!r} finds nothing in {clip.id!r}" for clip in lost])
    found, largest = sorted(set(groups)), max(frequency.values())
    if len(found) < folds.number:
        what = counted(len(found), "group") if folds.group else counted(len(found), "clip")
        raise ListError(
            [f"--folds {folds.number}: there {'is' if len(found) == 1 else 'are'} only {what}: {_some(found)}"]
        )
    if largest < folds.number:
        raise ListError([f"--folds {folds.number}: no class has so many clips, the largest has {largest}"])
    if max(Counter(kinds).values()) < folds.number:  # scikit-learn wants one so large
        kinds = [0] * len(kinds)
    splitter = StratifiedGroupKFold(folds.number, shuffle=True, random_state=seed)
    with python_warnings.catch_warnings(action="ignore"):  # of small classes: what comes of them is told below
        parts = [set(part.tolist()) for _, part in splitter.split(clips, kinds, groups)]
    of_fold = [{label for row in part for label in clips[row].labels} for part in parts]
    problems, number_of = [], {label: sum(label in of for of in of_fold) for label in frequency}
    for number, (part, there) in enumerate(zip(parts, of_fold, strict=True), 1):
        for label in sorted(label for label in there if number_of[label] == 1):
            having = {group for group, clip in zip(groups, clips, strict=True) if label in clip.labels}
            problems.append(
                f"fold {number} would train without a clip of class {names[label]!r}: all lie in "
                f"{counted(len(having), 'group')} that it validates on, {_some(sorted(having))}; leave the class out, "
                "or choose other groups"
            )
        without = [names[label] for label in sorted(frequency.keys() - there)]
        if not part:
            problems.append(f"fold {number} would have no clip to validate on; choose fewer folds")
        elif without:
            warnings.append(
                f"fold {number} validates without {counted(len(without), 'class', 'classes')}: {_some(without)}"
            )
    if problems:
        raise ListError(problems)
    if folds.group:
        sizes = ", ".join(str(len({groups[row] for row in part})) for part in parts)
        warnings.append(f"--group finds {counted(len(found), 'group')}, such as {found[0]!r}; in the folds: {sizes}")
    return [
        {
            "training": [clip for row, clip in enumerate(clips) if row not in part],
            "validation": [clip for row, clip in enumerate(clips) if row in part],
        }
        for part in parts
    ]


def _some(names: Sequence[str]) -> str:
    return ", ".join(first_of(names, 10))
