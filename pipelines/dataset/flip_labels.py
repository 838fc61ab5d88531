"""Classes that change places when a clip is mirrored, such as swiping to the left and to the right."""

import json
import logging
import math
import re
from collections.abc import Iterable, Iterator, Mapping

from pipelines.dataset.clips import Dataset
from pipelines.files.errors import ListError
from pipelines.files.words import counted

log = logging.getLogger(__name__)

_SIDE = re.compile(r"(?:(?<![A-Za-z])(?:left|right|LEFT|RIGHT)|Left|Right)(?=hand|ward|(?![a-z]))")
"""Left or right as a word, or a part of one that has its meaning: `swipe_left`, `SwipeLeft`, `leftwards`; not `bright`
or `leftovers`."""
_OTHER = {"left": "right", "Left": "Right", "LEFT": "RIGHT"}
_OTHER |= {right: left for left, right in _OTHER.items()}


def flipped_labels(dataset: Dataset, num_class: float = math.inf) -> dict[int, int]:
    """Label of a clip -> its label when it is mirrored, of the classes in `dataset.flip_labels`.

    Raises:
        ListError: a class that is not there, among `num_class`, or in two pairs, or that changes places with itself.
    """
    flipped: dict[int, int] = {}
    problems: list[str] = []
    for pair in dataset.flip_labels:
        where = f"dataset.flip_labels: {json.dumps(pair, ensure_ascii=False)}"
        labels = [_label(one, dataset.class_names) for one in pair]
        unknown = [one for one, label in zip(pair, labels, strict=True) if label is None or not 0 <= label < num_class]
        if unknown:
            known = "a name of dataset.class_names" if dataset.class_names else "a number, as there are no class_names"
            below = f", or a number below {num_class}" if dataset.class_names and num_class < math.inf else ""
            problems.append(f"{where}: there is no class {unknown[0]!r}; expected {known}{below}")
            continue
        first, second = (label for label in labels if label is not None)
        if first == second:
            problems.append(f"{where}: a class cannot change places with itself; leave it out")
        elif twice := [one for one, label in zip(pair, labels, strict=True) if label in flipped]:
            problems.append(f"{where}: {twice[0]!r} is in another pair, too; a class changes places with one other")
        else:
            flipped |= {first: second, second: first}
    if problems:
        raise ListError(problems)
    return flipped


def _label(name: str | int, class_names: tuple[str, ...]) -> int | None:
    """The number of a class that is given by its name or number; None without such a name."""
    if isinstance(name, int):
        return name
    return class_names.index(name) if class_names.count(name) == 1 else None


def seen_labels(labels: Iterable[int], flipped: Mapping[int, int]) -> Iterator[int]:
    """The labels of clips and of their mirrored copies, which are seen as often."""
    for label in labels:
        yield label
        yield flipped.get(label, label)


def names_of_sides(names: Iterable[str]) -> list[str]:
    """Those that hold left or right."""
    return [name for name in names if _SIDE.search(name)]


def warn_of_sides(dataset: Dataset) -> None:
    """Warn if clips, of which half are mirrored, may show what their class then does not say."""
    sided = names_of_sides(dataset.class_names)
    if not sided or dataset.flip_labels:
        return
    others = {name: _SIDE.sub(lambda side: _OTHER[side[0]], name) for name in sided}
    pairs = sorted({tuple(sorted(pair)) for pair in others.items() if pair[1] in others})
    such_as = f", such as {json.dumps(pairs, ensure_ascii=False)}" if pairs else ""
    log.warning(
        "%s left or right, for example %r, but half of the clips are mirrored: name the classes that change places "
        "then in dataset.flip_labels%s, or set data_augmentation.video_augmentation.RandomHorizontalFlip to false",
        counted(len(sided), "class name holds", "class names hold"),
        sided[0],
        such_as,
    )
