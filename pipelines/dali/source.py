"""The callable that decode workers run: a place in a batch -> the arrays of one sample. It never raises.

What cannot be read becomes a black, silent clip with ok = 0 and the reason as text; loss and metrics leave it out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from pipelines.audio.from_video import FileAudio
from pipelines.audio.log_mel import first_spectrogram, silent_spectrogram
from pipelines.audio.mel_store import MelStore
from pipelines.dali.inputs import VideoInput
from pipelines.dataset.clips import Clip
from pipelines.dataset.list_line import WHOLE
from pipelines.dataset.targets import AnyTargets, Classes
from pipelines.parallel.processes import serve_parent
from pipelines.sampling import plan as sampling
from pipelines.sampling.batch_order import Order, Position
from pipelines.sampling.dense import FrameSampling
from pipelines.sampling.variation import Variation, training_variation, varies
from pipelines.sampling.views import Views

REASON_BYTES = 240
"""Length of the text that says why a clip could not be read."""


class Sample(NamedTuple):
    """The arrays of one sample, in the order in which the graph takes them."""

    video: np.ndarray  # frames, uint8 (S, H, W, 3), or what the graph decodes, uint8 (bytes,); see `inputs`
    frames: np.ndarray  # which frames of that file, each once, or where each of the JPEG files ends, int32 (N,)
    places: np.ndarray  # of the wanted frames among these, int32 (S,)
    crop_start: np.ndarray  # y, x in pixels, of frames that are not cropped yet, int32 (2,)
    crop_shape: np.ndarray  # height, width in pixels, int32 (2,)
    flip: np.ndarray  # 0 or 1, int32 ()
    look: np.ndarray  # changes of color, and blur, float32 (10,); see `sampling.Plan.look`
    audio: np.ndarray  # log-mel spectrograms, float32 (A, 3, H, W)
    meta: np.ndarray  # label, row, ok, int64 (3,)
    target: np.ndarray  # labels or numbers, float32 (K,); of classes, none
    reason: np.ndarray  # why ok is 0: UTF-8 text filled up with zeros, uint8 (REASON_BYTES,)


@dataclass(kw_only=True, repr=False)  # DALI puts the text of a source into its warnings
class ClipSource:
    """Sample number -> `Sample`; pickled to the workers, so it holds plain data only."""

    clips: Sequence[Clip]
    order: Order
    training: bool
    repeats: int = 1  # samples of a video in a training batch
    seed: int
    video_input: VideoInput
    num_segments: int
    video: sampling.VideoAugmentation
    audio: sampling.AudioAugmentation
    audio_segments: int
    mels: MelStore | FileAudio
    targets: AnyTargets = field(default_factory=Classes)
    views: Views = field(default_factory=Views)  # of an evaluation
    frame_sampling: FrameSampling = field(default_factory=FrameSampling)
    flipped: Mapping[int, int] = field(default_factory=dict)  # label -> that of a mirrored clip, where it is another
    first_step: int = 0  # at which the pipeline starts
    bad: Mapping[int, str] = field(default_factory=dict)  # rows that are not to be read -> why
    fields: tuple[str, ...] = ()  # what the graph uses of a sample

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Start to serve in a worker of DALI."""
        self.__dict__.update(state)
        if self.fields:
            serve_parent()

    def __call__(self, sample_info) -> tuple[np.ndarray, ...]:
        """The `fields` of a `Sample`.

        Args:
            sample_info: DALI's SampleInfo; its iteration counts on for as long as the pipeline lives.
        """
        sample = self.sample(sample_info.iteration, sample_info.idx_in_batch)
        return tuple(getattr(sample, name) for name in self.fields)

    def sample(self, iteration: int, place: int) -> Sample:
        """What stands at `place` of the batch of an iteration."""
        position = self.order.position(self.first_step + iteration, place)
        if position.row < 0:
            return self.black(position, "")
        if position.row in self.bad:
            return self.black(position, self.bad[position.row])
        try:
            return self._read(position)
        except Exception as error:  # a worker must not raise, whatever a file holds
            return self.black(position, f"{type(error).__name__}: {error}")

    def black(self, position: Position, reason: str) -> Sample:
        """What stands for a clip that cannot be read."""
        video, frames = self.video_input.black(self.num_segments)
        plan = sampling.Plan(frames=frames, crop=sampling.Crop(0, 0, 1, 1))
        clip = self.clips[position.row] if position.row >= 0 else None
        meta = clip.label if clip else 0, position.row, 0
        silence = silent_spectrogram(self.mels.options, self.audio_segments)
        return _sample(video, frames, plan, silence, meta, self._target(clip), reason)

    def plan(self, position: Position) -> sampling.Plan:
        """The draws of one sample."""
        clip = self.clips[position.row]
        size = clip.height, clip.width
        displayed = sampling.displayed_size(*size, clip.pixel_aspect)
        shape = (clip.frames, *displayed, self.num_segments)
        dense = self.frame_sampling.of_clip(self.num_segments, clip.frames, clip.rate, clip.times)
        if self.training:
            draws = {"seed": self.seed, "epoch": position.epoch, "row": position.row, "repeat": position.repeat}
            plan = sampling.training_plan(*shape, self.video, self.audio, dense=dense, **draws)
        else:
            plan = self.views.plan(*shape, seed=self.seed, row=position.row, view=position.view, dense=dense)
        crop = sampling.undisplayed(plan.crop, displayed, size)
        return plan._replace(frames=clip.first + plan.frames, crop=crop)

    @property
    def varied(self) -> bool:
        """Whether clips have a `variation`."""
        return self.training and varies(self.video, self.audio)

    def variations(self, step: int) -> list[Variation]:
        """Those of this rank's clips in a step of training."""
        return [self.variation(self.order.position(step, place)) for place in range(self.order.rank_batch)]

    def variation(self, position: Position) -> Variation:
        """The draws of a training sample that are carried out on the batch. A clip without audio keeps its frames."""
        draws = {"seed": self.seed, "epoch": position.epoch, "row": position.row, "repeat": position.repeat}
        varied = training_variation(self.video, self.audio, **draws)
        if varied.silenced == "frames" and not self.clips[position.row].audio:
            return varied._replace(silenced=None)
        return varied

    def _read(self, position: Position) -> Sample:
        clip, plan = self.clips[position.row], self.plan(position)
        video, frames = self.video_input.read(clip, plan, self._together(position))
        label = self.flipped.get(clip.label, clip.label) if plan.flip else clip.label
        meta = label, position.row, 1
        return _sample(video, frames, plan, self._audio(clip, plan), meta, self._target(clip, plan.flip), "")

    def _together(self, position: Position) -> frozenset[int]:
        """The frames that all samples want of the video at this position, if there are several."""
        if not self.training or self.repeats == 1:
            return frozenset()
        first = position.repeat - position.repeat % self.repeats
        plans = (self.plan(position._replace(repeat=first + i)) for i in range(self.repeats))
        return frozenset(frame for plan in plans for frame in plan.frames.tolist())

    def _audio(self, clip: Clip, plan: sampling.Plan) -> np.ndarray:
        if not clip.audio or not self.audio_segments:
            return silent_spectrogram(self.mels.options, self.audio_segments)
        part = None if clip.end == WHOLE else (clip.start, clip.end)
        stretch = plan.stretch and (plan.stretch[0] - clip.audio_start, plan.stretch[1] - clip.audio_start)
        return self.mels.spectrogram(clip.audio, self.audio_segments, plan.audio_cut, part, stretch)

    def _target(self, clip: Clip | None, flip: bool = False) -> np.ndarray:
        """Of no clip, zeros; a clip of a file that is in no list has no target either."""
        if not (clip and clip.target):
            return np.zeros(self.targets.size)
        target = self.targets.vector(clip.target)
        return target[[self.flipped.get(label, label) for label in range(len(target))]] if flip else target


@dataclass
class Reading:
    """The same for processes without DALI: step and place -> sample."""

    source: ClipSource

    def __call__(self, place: tuple[int, int]) -> Sample:
        return self.source.sample(*place)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Do what takes a second or two before the first spectrogram; processes that are forked from this one need
        not do it again."""
        self.__dict__.update(state)
        if self.source.audio_segments and isinstance(self.source.mels, FileAudio):
            first_spectrogram(self.source.mels.options)


def _sample(video, frames, plan: sampling.Plan, audio, meta: tuple[int, int, int], target, reason: str) -> Sample:
    text = reason.encode(errors="backslashreplace")[:REASON_BYTES].ljust(REASON_BYTES, b"\0")
    frames, places = np.unique(frames, return_inverse=True)
    return Sample(
        video=video,
        frames=frames.astype(np.int32),
        places=places.astype(np.int32),
        crop_start=np.array(plan.crop[:2], np.int32),
        crop_shape=np.array(plan.crop[2:], np.int32),
        flip=np.array(plan.flip, np.int32),
        look=plan.look,
        audio=audio,
        meta=np.array(meta, np.int64),
        target=target.astype(np.float32),
        reason=np.frombuffer(text, np.uint8),
    )
