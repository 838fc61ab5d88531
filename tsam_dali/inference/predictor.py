"""Classify video files with a trained network: the same frames, crop and spectrograms as in a validation.

predictor = tsam_dali.load("results/first/checkpoints/balanced_best")
print(predictor.predict("a.mp4").classes[0])
print(predictor.timeline("long.mp4", window=10, stride=5).windows[0])

S video segments, A audio segments, C classes.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from pipelines.audio.read import AudioError
from pipelines.dataset.clips import Clip
from pipelines.decode.probe import probe_times, probe_video
from pipelines.files.words import first_of
from pipelines.parallel.processes import cores
from pipelines.parallel.sandbox import Sandbox
from tsam_dali.config.load import change_config
from tsam_dali.inference.file_clips import classify_clips, file_clips, piece_clips, probe_files
from tsam_dali.inference.live import follow
from tsam_dali.inference.results import (
    ClassProbability,
    Moment,
    Piece,
    Prediction,
    PredictionError,
    Timeline,
    Unreadable,
    best_classes,
)
from tsam_dali.inference.timeline import PredictedTimeline, make_timeline
from tsam_dali.training.tasks import task_of, thresholds_of
from tsam_dali.weights.trained import network_of, read_trained

if TYPE_CHECKING:
    from tsam_dali.inference.grad_cam import Explanation

SETTINGS = ("pipeline.source=video", "pipeline.decode=cpu", "pipeline.max_bad_fraction=1")


class PredictedClip(NamedTuple):
    """A prediction and the input of the network."""

    prediction: Prediction
    video: Tensor  # float32 (S, 3, H, W), 0..1
    audio: Tensor | None  # float32 (A, 3, H, W), log-mel spectrograms
    probabilities: Tensor  # float64 (C,); of numbers their values


class Predictor:
    """See `tsam_dali.load`."""

    def __init__(self, path: str | Path, device: str | torch.device = "cpu") -> None:
        trained = read_trained(path)
        self.network = network_of(trained, path, device)
        self.config = change_config(trained.config, overrides=SETTINGS)
        self.class_names, self.device = trained.class_names, torch.device(device)
        thresholds = thresholds_of(trained.history)
        settings = self.config.dataset, self.config.training_param, len(self.class_names)
        self.task = task_of(*settings, thresholds=thresholds, device=device)
        self._sandbox = Sandbox(cores())  # files may hang or crash a decoder
        self._own = self.network, self.config, self.device, self._sandbox

    def predict(self, path: str | Path, topk: int = 5, *, start: float = 0.0, end: float = inf) -> Prediction:
        """The `topk` most probable classes or labels of a video (all of them, if there are fewer), or its numbers; or
        those of the piece from `start` to `end`, in seconds on the clock of the file.

        Raises:
            PredictionError: the file is missing or cannot be read.
        """
        (found,) = self.predict_all([Piece(str(path), start, end)], topk)
        if isinstance(found, Unreadable):
            raise PredictionError(found.error)
        return found.prediction

    def predict_all(self, paths: Sequence[str | Path | Piece], topk: int = 5) -> Iterator[PredictedClip | Unreadable]:
        """The same for many videos or pieces of them, in their order, each once; one that cannot be read raises
        nothing."""
        wanted = list(dict.fromkeys(one if isinstance(one, Piece) else Piece(str(one)) for one in paths))
        if wrong := [piece for piece in wanted if not 0 <= piece.start < piece.end]:
            raise ValueError(f"{wrong[0]}: expected 0 <= start < end, in seconds")
        clips, errors = dict[Piece, Clip](), dict[Piece, str]()
        for clips_of, timed in ((file_clips, False), (piece_clips, True)):
            some = [piece for piece in wanted if piece.is_part == timed]
            names = list(dict.fromkeys(piece.path for piece in some))
            records, faults = probe_files(partial(probe_video, timed=timed), names, self._sandbox)
            errors |= {piece: faults[piece.path] for piece in some if piece.path in faults}
            found, outside = clips_of([piece for piece in some if piece.path in records], records)
            clips, errors = clips | found, errors | outside
        chosen = [clips[piece] for piece in wanted if piece in clips]
        outputs = classify_clips(*self._own, chosen, self.task.outputs)
        for piece in wanted:
            if piece not in clips:
                yield Unreadable(path=piece.path, **piece.times, error=errors[piece])
                continue
            clip, output = clips[piece], next(outputs)
            times = piece.times and {"start": clip.start, "end": clip.end}
            if output.error:
                yield Unreadable(path=piece.path, **times, error=output.error)
                continue
            classes = best_classes(output.probabilities, self.task, topk)
            prediction = Prediction(path=piece.path, **times, classes=classes, has_audio=bool(clip.audio))
            yield PredictedClip(prediction, output.video, output.audio, output.probabilities)

    def timeline(self, path: str | Path, window: float, stride: float, topk: int = 5) -> Timeline:
        """The classes of a long video, window by window; each window has its own frames and audio.

        Args:
            path: a video.
            window: seconds that a window lasts, above 0. The last one ends with the video; a shorter video is one
                window. See `pipelines.sampling.windows.window_spans`.
            stride: seconds from the start of a window to that of the next, above 0.
            topk: classes of each window.

        Raises:
            PredictionError: the file is missing, or no window of it can be read.
        """
        (found,) = self.timeline_all([path], window, stride, topk)
        if isinstance(found, Unreadable):
            raise PredictionError(found.error)
        return found.timeline

    def timeline_all(
        self, paths: Sequence[str | Path], window: float, stride: float, topk: int = 5
    ) -> Iterator[PredictedTimeline | Unreadable]:
        """The same for many videos, in their order, each once; an unreadable file raises nothing."""
        if not (window > 0 and stride > 0):
            raise ValueError(f"window {window} and stride {stride}: expected seconds above 0")
        names = list(dict.fromkeys(map(str, paths)))
        records, errors = probe_files(probe_times, names, self._sandbox)
        for name in names:
            if name in errors:
                yield Unreadable(path=name, error=errors[name])
                continue
            try:
                yield make_timeline(*self._own, self.task, name, records[name], window=window, stride=stride, topk=topk)
            except (AudioError, PredictionError) as error:
                yield Unreadable(path=name, error=str(error))

    def live(self, source: str | Path, fps: float | None = None, topk: int = 5) -> Iterator[Moment]:
        """The classes after each frame of a stream as it arrives; for networks trained with a causal shift.

        Args:
            source: a video file, "-" (a pipe) or a camera such as /dev/video0; see
                `pipelines.decode.stream.read_stream`.
            fps: frames per second that are used, as in the training: video_segments / seconds of a clip. Default:
                that of clips of ten seconds.
            topk: classes of each moment.

        Raises:
            tsam_dali.model.backbone.ModelError: the network needs later frames.
            pipelines.decode.container.VideoError: the source cannot be read.
        """
        outputs = follow(self.network, self.config, self.device, str(source), fps, self.task.outputs)
        for frame, (time, probabilities) in enumerate(outputs, 1):
            yield Moment(time=round(time, 3), frame=frame, classes=best_classes(probabilities, self.task, topk))

    def label_of(self, name: str) -> int:
        """The number of a class, label or number.

        Raises:
            ValueError: there is none of this name.
        """
        if name not in self.class_names:
            known = ", ".join(first_of(self.class_names, 20))
            raise ValueError(f"there is no {self.task.kind} {name!r}; expected one of {known}")
        return self.class_names.index(name)

    def explain(self, predicted: PredictedClip, label: int | None = None) -> "Explanation":
        """Where in the frames and spectrograms of a prediction a class or label (default: the first one) was
        found; of a number (default: number 0), what raises it.

        Raises:
            ValueError: there is no such class.
        """
        from tsam_dali.inference.grad_cam import explain  # captum takes seconds

        first = predicted.prediction.classes[0]
        likeliest = first.label if isinstance(first, ClassProbability) else 0
        chosen = likeliest if label is None else label
        if not 0 <= chosen < len(self.class_names):
            raise ValueError(f"label {chosen}: expected 0 to {len(self.class_names) - 1}")
        return explain(self.network, predicted.video, predicted.audio, chosen)
