"""A trained network that takes video files: the same frames, crop and sound picture as in a validation.

predictor = tsam_dali.load("results/first/checkpoints/balanced_best")
print(predictor.predict("a.mp4").classes[0])

S video segments, A audio segments, C classes.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from pipelines.clips import Clip
from pipelines.file_sound import FileSound
from pipelines.loader import build_loader
from pipelines.probe import probe_video
from pipelines.sandbox import Fault, Limits, map_limited
from tsam_dali.config import change_config
from tsam_dali.precision import autocast
from tsam_dali.trained import build_trained

BATCH_SIZE = 8
"""Clips in a step."""
SETTINGS = ("pipeline.source=video", "pipeline.decode=cpu", "pipeline.max_bad_fraction=1")


class PredictionError(ValueError):
    """A file that cannot be read."""


@dataclass(frozen=True, kw_only=True)
class ClassProbability:
    """One class for one file."""

    label: int
    """Its number, as in the lists of the training."""
    name: str
    probability: float
    """0..1."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What the network says of a file."""

    path: str
    classes: tuple[ClassProbability, ...]
    """The most probable ones, the best first."""
    has_sound: bool
    """Whether the file has a sound track; one without is heard as silence."""


@dataclass(frozen=True, kw_only=True)
class Unreadable:
    """A file without a prediction."""

    path: str
    error: str
    """Why."""


class Seen(NamedTuple):
    """A prediction and what the network saw."""

    prediction: Prediction
    video: Tensor  # float32 (S, 3, H, W), 0..1
    audio: Tensor | None  # float32 (A, 3, H, W), log-mel pictures


class Predictor:
    """See `tsam_dali.load`."""

    def __init__(self, path: str | Path, device: str | torch.device = "cpu") -> None:
        self.network, config, self.class_names = build_trained(path, device)
        self.config = change_config(config, overrides=SETTINGS)
        self.device = torch.device(device)

    def predict(self, path: str | Path, topk: int = 5) -> Prediction:
        """The `topk` most probable classes of a video (all of them, if there are fewer).

        Raises:
            PredictionError: the file is missing or cannot be read.
        """
        (found,) = self.predict_all([path], topk)
        if isinstance(found, Unreadable):
            raise PredictionError(found.error)
        return found.prediction

    def predict_all(self, paths: Sequence[str | Path], topk: int = 5) -> Iterator[Seen | Unreadable]:
        """The same for many videos, in their order, each once; what cannot be read is no error here."""
        names = list(dict.fromkeys(map(str, paths)))
        clips, errors = _probe(names)
        seen = self._predict(clips, topk)
        for name in names:
            yield Unreadable(path=name, error=errors[name]) if name in errors else next(seen)

    @torch.no_grad()
    def _predict(self, clips: list[Clip], topk: int) -> Iterator[Seen | Unreadable]:
        if not clips:
            return
        with build_loader(
            self.config, "validation", clips, device=self.device, rank_batch=min(BATCH_SIZE, len(clips))
        ) as loader:
            loader.source.mels = FileSound(self.config.data_augmentation.audio_image_param)
            for batch in loader:
                with autocast(self.config.training_param, self.device):
                    logits = self.network(batch.video, batch.audio)
                probabilities = logits.float().softmax(1).cpu()
                for place, row in enumerate(batch.row.tolist()):
                    if row < 0:
                        continue
                    if row in loader.bad:
                        yield Unreadable(path=clips[row].path, error=loader.bad[row])
                        continue
                    audio = None if batch.audio is None else batch.audio[place].cpu()
                    prediction = self._prediction(clips[row], probabilities[place], topk)
                    yield Seen(prediction, batch.video[place].cpu(), audio)

    def _prediction(self, clip: Clip, probabilities: Tensor, topk: int) -> Prediction:
        best = probabilities.topk(min(topk, len(probabilities)))
        classes = tuple(
            ClassProbability(label=label, name=self.class_names[label], probability=probability)
            for label, probability in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        )
        return Prediction(path=clip.path, classes=classes, has_sound=clip.sound)


def _probe(paths: list[str]) -> tuple[list[Clip], dict[str, str]]:
    """The videos that can be opened, in their order; path -> why not, of the others. In child processes, as a file may
    hang a decoder or bring it down."""
    workers = len(os.sched_getaffinity(0))
    records = dict(map_limited(probe_video, paths, workers, Limits()))
    clips, errors = [], {}
    for path in paths:
        record = records[path]
        if isinstance(record, Fault):
            errors[path] = f"{path}: {record.reason}"
        elif record["status"] != "ok":
            errors[path] = record["reason"]
        else:
            size = {key: record[key] for key in ("frames", "height", "width")}
            clips.append(Clip(id=path, label=0, path=path, sound=record["sound_rate"] > 0, **size))
    return clips, errors
