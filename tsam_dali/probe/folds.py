"""Which clips a probe is trained and scored on: folds, as tools/make_lists.py draws them, or the lists."""

import logging
from typing import NamedTuple

import numpy as np

from pipelines.annotations.rows import Row
from pipelines.annotations.split import Folds, ListedClip, draw_folds
from pipelines.dataset.list_line import WHOLE
from pipelines.files.errors import ListError
from tsam_dali.probe.options import ProbeOptions
from tsam_dali.probe.store import Features

log = logging.getLogger(__name__)
INNER = 3
"""Folds of the training clips of a fold, among which the strength of the regularisation is chosen."""


class Fold(NamedTuple):
    """Rows of the clips."""

    name: str
    training: np.ndarray
    scored: np.ndarray
    inner: list[tuple[np.ndarray, np.ndarray]]  # the training clips again: those to train on, and those to choose by


def make_folds(features: Features, options: ProbeOptions) -> tuple[list[Fold], Fold]:
    """The folds, and one with all clips that the final probe is trained on.

    Raises:
        ListError: too few clips or groups for the folds; see `pipelines.annotations.split.draw_folds`.
        ValueError: a list without a clip that could be read.
    """
    rows, groups = np.arange(len(features.ids)), groups_of(features, options)

    def fold(name: str, training: np.ndarray, scored: np.ndarray) -> Fold:
        return Fold(name, training, scored, _inner(features.label[training], groups[training], training, options.seed))

    if options.split == "lists":
        training, scored = rows[~features.validation], rows[features.validation]
        for split, members in (("training", training), ("validation", scored)):
            if not len(members):
                raise ValueError(f"no clip of the {split} list could be read that is not in the other list as well")
        only = fold("lists", training, scored)
        return [only], only
    warnings: list[str] = []
    clips = _listed(features)
    drawn = draw_folds(clips, features.class_names, _folds(options), options.seed, warnings)
    for warning in warnings:
        log.warning("%s", warning)
    row_of = {clip_id: row for row, clip_id in enumerate(features.ids)}
    found = []
    for number, part in enumerate(drawn, 1):
        training, scored = (np.array(sorted(row_of[clip.id] for clip in part[split])) for split in part)
        found.append(fold(f"fold {number}", training, scored))
    whole = Fold("all clips", rows, rows[:0], [(fold.training, fold.scored) for fold in found])
    return found, whole


def groups_of(features: Features, options: ProbeOptions) -> np.ndarray:
    """The group of each clip, as numbers; clips without one are groups of their own."""
    folds = _folds(options)
    names = [folds.group_of(clip) or f"\0{clip.id}" for clip in _listed(features)]
    return np.unique(names, return_inverse=True)[1]


def _folds(options: ProbeOptions) -> Folds:
    return Folds(options.folds, options.group)


def _listed(features: Features) -> list[ListedClip]:
    lists = ("validation list" if there else "training list" for there in features.validation)
    ends = features.ends
    return [
        ListedClip(clip_id, (int(label),), Row(where, clip_id, str(label), end=ends.get(clip_id, WHOLE)))
        for clip_id, label, where in zip(features.ids, features.label.tolist(), lists, strict=True)
    ]


def _inner(label: np.ndarray, groups: np.ndarray, rows: np.ndarray, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Folds of some clips with groups whole, as far as there are enough of them."""
    from sklearn.model_selection import StratifiedGroupKFold

    number = min(INNER, len(np.unique(groups)))
    if number < 2:
        raise ListError(["the training clips are of one group: nothing is left to choose the regularisation by"])
    splitter = StratifiedGroupKFold(number, shuffle=True, random_state=seed)
    return [(rows[train], rows[held]) for train, held in splitter.split(label[:, None], label, groups) if len(held)]
