"""A validation list drawn from the training clips."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from pipelines.annotations.rows import Row
from pipelines.files.errors import ListError
from pipelines.files.words import counted

TSAM_SPLITS = ("training", "validation")


class ListedClip(NamedTuple):
    """A clip of one of the two lists."""

    id: str
    label: int
    row: Row  # where it comes from


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
