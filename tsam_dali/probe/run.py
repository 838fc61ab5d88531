"""Features -> probes, their scores, a report and a checkpoint."""

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from pipelines.files.atomic import replacing
from tsam_dali.probe.attentive import attentive_probabilities
from tsam_dali.probe.classifiers import Linear, few_threads, fit_linear, knn_probabilities
from tsam_dali.probe.folds import Fold, make_folds
from tsam_dali.probe.options import ProbeOptions
from tsam_dali.probe.scores import ProbeScores, chance, over_folds
from tsam_dali.probe.store import Features

log = logging.getLogger(__name__)
AS_NETWORK = ("average", "frames")
"""Inputs from which a network can be made, as it averages the features of all of its segments."""


@dataclass(frozen=True, kw_only=True)
class Probes:
    """What was found, in the order of the table."""

    features: Features
    options: ProbeOptions
    scores: list[ProbeScores]
    whole: Fold  # the clips that the final probe is trained on

    @property
    def best_linear(self) -> ProbeScores:
        """The linear probe with the highest accuracy, of equal ones the first."""
        return max((one for one in self.scores if one.probe == "linear"), key=lambda one: one.mean("accuracy"))

    @property
    def best_network(self) -> ProbeScores:
        """The same of those that a network can be."""
        linear = [one for one in self.scores if one.probe == "linear" and one.inputs in AS_NETWORK]
        return max(linear, key=lambda one: one.mean("accuracy"))


def probe(features: Features, options: ProbeOptions, report: Callable[[str], None] = lambda line: None) -> Probes:
    """Train probes on frames, audio and both, and score them on clips that they were not trained on.

    Args:
        report: called with a line of text as soon as a probe is scored, the fastest ones first.

    Raises:
        ValueError: another task than classes, or too few clips.
        ListError: as `make_folds`.
    """
    task = features.config.dataset.task
    if task != "classes":
        raise ValueError(f"dataset.task is {task!r}: probes are for classes only; train with python -m tsam_dali.train")
    label, num_class = features.label, len(features.class_names)
    if num_class < 2:
        raise ValueError("all clips are of one class: there is nothing to learn")
    folds, whole = make_folds(features, options)
    report(f"{len(label)} clips, {chance(label, num_class)}")
    scores = []
    with few_threads(len(label)):
        for kind, inputs, fit in _probes(features, label, num_class, options):
            scores.append(over_folds(kind, inputs, label, num_class, folds, fit))
            report(scores[-1].line)
    return Probes(features=features, options=options, scores=scores, whole=whole)


def _probes(
    features: Features, label: np.ndarray, num_class: int, options: ProbeOptions
) -> Iterator[tuple[str, str, Callable[[Fold], tuple[np.ndarray, float]]]]:
    """Kind, input and training of each probe."""

    means = clip_vectors(features)
    for inputs, x in means.items():
        yield "linear", inputs, partial(_linear, x, label, num_class)
    if options.linear_only:
        return
    for inputs, x in means.items():
        if inputs != "average":
            yield "k-NN", inputs, partial(knn_probabilities, x, label, num_class)
    for inputs, segments in clip_segments(features).items():
        yield "attentive", inputs, partial(attentive_probabilities, segments, label, num_class, seed=options.seed)


def _linear(x: np.ndarray, label: np.ndarray, num_class: int, fold: Fold) -> tuple[np.ndarray, float]:
    found = fit_linear(x, label, num_class, fold)
    return found.probabilities(x[fold.scored]), found.chosen


def clip_vectors(features: Features) -> dict[str, np.ndarray]:
    """A vector of each clip, float64 (N, F) or (N, 2F): mean features of the `frames`, of the `audio`, `both` side by
    side, and the `average` of all segments, which a network takes."""
    frames = features.read("frames_mean").astype(np.float64)
    if not features.has_audio:
        return {"frames": frames}
    audio = features.read("audio_mean").astype(np.float64)
    s, a = features.config.model.video_segments, features.config.num_spectrograms
    average = (s * frames + a * audio) / (s + a)
    return {"frames": frames, "audio": audio, "both": np.concatenate([frames, audio], 1), "average": average}


def clip_segments(features: Features) -> dict[str, np.ndarray]:
    """The features of all segments of a clip, float32 (N, T, F): of its `frames`, its `audio`, and `both`."""
    frames = features.read("frames")
    if not features.has_audio:
        return {"frames": frames}
    audio = features.read("audio")
    return {"frames": frames, "audio": audio, "both": np.concatenate([frames, audio], 1)}


def fit_final(probes: Probes, inputs: str) -> Linear:
    """The linear probe for all clips, or those of the training list."""
    features = probes.features
    x = clip_vectors(features)[inputs]
    with few_threads(len(x)):
        return fit_linear(x, features.label, len(features.class_names), probes.whole)


def write_scores(path: Path, probes: Probes) -> None:
    """Write the table and the scores of each fold as JSON."""
    records = [one.record() for one in probes.scores]
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(records, indent=2) + "\n", encoding="utf-8")
