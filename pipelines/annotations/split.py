"""A validation list drawn from the training clips, or folds of all clips."""

import re
import warnings as python_warnings
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from pipelines.annotations.rows import Row
from pipelines.dataset.list_line import file_of
from pipelines.files.errors import ListError
from pipelines.files.words import counted, first_of

TSAM_SPLITS = ("training", "validation")


class ListedClip(NamedTuple):
    """A clip of one of the two lists."""

    id: str
    label: int
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
    """Split clips at random, in each class in the same proportion; a class with a single clip stays in training.

    The draw depends on the clips' ids and classes and on the seed, not on the order of the clips.

    Args:
        clips: clips of one list.
        fraction: share of the validation list, above 0 and at most 0.5. At least as many clips are drawn as there
            are classes, so that each can have one.
        seed: of the draw.
        warnings: what is to be said of it is added.

    Raises:
        ListError: no class has two clips.
    """
    from sklearn.model_selection import train_test_split  # takes longer to import than all else here to run

    sizes = Counter(clip.label for clip in clips)
    drawable = sorted((clip for clip in clips if sizes[clip.label] > 1), key=lambda clip: clip.id)
    if not drawable:
        raise ListError(["there is no validation list, and no class has two clips of which one could be drawn for it"])
    single = sum(size == 1 for size in sizes.values())
    if single:
        have = counted(single, "class has", "classes have")
        warnings.append(f"{have} a single clip, which goes to training: validation lacks them")
    ids, labels = [clip.id for clip in drawable], [clip.label for clip in drawable]
    count = max(int(len(ids) * fraction), len(set(labels)))
    drawn = set(train_test_split(ids, test_size=count, random_state=seed, stratify=labels)[1])
    drawn_for_it = f"{len(clips)} clips {'was' if count == 1 else 'were'} drawn for it"
    warnings.append(f"no validation list was given: {count} of {drawn_for_it}, seed {seed}")
    return {
        "training": [clip for clip in clips if clip.id not in drawn],
        "validation": [clip for clip in clips if clip.id in drawn],
    }


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
    groups, labels = list(map(folds.group_of, clips)), [clip.label for clip in clips]
    lost = [clip for clip, group in zip(clips, groups, strict=True) if not group]
    if lost:
        raise ListError([f"{clip.row.where}: --group {folds.group!r} finds nothing in {clip.id!r}" for clip in lost])
    found, largest = sorted(set(groups)), max(Counter(labels).values())
    if len(found) < folds.number:
        what = counted(len(found), "group") if folds.group else counted(len(found), "clip")
        raise ListError(
            [f"--folds {folds.number}: there {'is' if len(found) == 1 else 'are'} only {what}: {_some(found)}"]
        )
    if largest < folds.number:
        raise ListError([f"--folds {folds.number}: no class has so many clips, the largest has {largest}"])
    splitter = StratifiedGroupKFold(folds.number, shuffle=True, random_state=seed)
    with python_warnings.catch_warnings(action="ignore"):  # of small classes: what comes of them is told below
        parts = [set(part.tolist()) for _, part in splitter.split(clips, labels, groups)]
    of_fold = [{labels[row] for row in part} for part in parts]
    problems, number_of = [], {label: sum(label in of for of in of_fold) for label in set(labels)}
    for number, (part, there) in enumerate(zip(parts, of_fold, strict=True), 1):
        for label in sorted(label for label in there if number_of[label] == 1):
            having = {group for group, other in zip(groups, labels, strict=True) if other == label}
            problems.append(
                f"fold {number} would train without a clip of class {names[label]!r}: all lie in "
                f"{counted(len(having), 'group')} that it validates on, {_some(sorted(having))}; leave the class out, "
                "or choose other groups"
            )
        without = [names[label] for label in sorted(set(labels) - there)]
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
