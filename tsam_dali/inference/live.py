"""Predictions of a causal network on a stream as it arrives. S video segments, A audio segments."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pipelines.audio.log_mel import SHORTEST_CUT, log_mel_columns, silent_spectrogram, spectrogram
from pipelines.dali.resize import resized
from pipelines.decode.stream import StreamFrame, read_stream
from tsam_dali.config.load import Config
from tsam_dali.model.precision import autocast
from tsam_dali.model.streaming import Stream
from tsam_dali.model.tsam import TSAM
from tsam_dali.training.task import ClassTask

CLASSES = ClassTask()
CLIP_SECONDS = 10.0
"""What S frames span where no frame rate is given: the length of a Kinetics clip."""
AUDIO_SECONDS = 0.5
"""The audio is refreshed after so long; a refresh costs as much as some three frames."""


class FrameOutput(NamedTuple):
    """Output of the network after a frame."""

    time: float  # seconds from the first frame of the stream
    probabilities: Tensor  # float32 (C,); of numbers their values


def follow(
    network: TSAM,
    config: Config,
    device: torch.device,
    source: str,
    fps: float | None = None,
    outputs: Callable[[Tensor], Tensor] = CLASSES.outputs,
) -> Iterator[FrameOutput]:
    """Probabilities, or numbers, after each frame that is used; see `pipelines.decode.stream.read_stream`.

    A network with audio gets the audio that S frames span, as far as it has arrived, with the first frame that is
    AUDIO_SECONDS or more after the last refresh; silence if the source has no audio.

    Args:
        network: causal, on `device`, in evaluation mode.
        config: its settings.
        device: where it runs.
        source: a video file, a pipe or a camera.
        fps: frames per second that are used; default: S in CLIP_SECONDS, or in a stretch of dense sampling.
        outputs: as for `tsam_dali.inference.file_clips.classify_clips`.

    Raises:
        tsam_dali.model.backbone.ModelError: the network needs later frames.
        pipelines.decode.container.VideoError: the source cannot be read.
        pipelines.audio.read.AudioError: there is no decoder for its audio.
        ValueError: no `fps`, where the stretches of the training had no length in seconds.
    """
    segments, size = config.model.video_segments, config.data_augmentation.video_image_param.output_size
    fps = fps or _trained_rate(config)
    spectrograms = AudioFeed(config, device)
    stream, due = Stream(network, spectrograms(None)), 0.0
    audio_span = segments / fps if config.model.audio_segments else 0.0
    for frame in read_stream(source, fps, audio_span):
        with autocast(config.training_param, device):
            if frame.rate and frame.time >= due:
                stream.set_audio(spectrograms(frame))
                due = frame.time + AUDIO_SECONDS
            logits = stream.push(prepare(frame.image, size).to(device))
        yield FrameOutput(frame.time, outputs(logits.float()).float().cpu())


def _trained_rate(config: Config) -> float:
    """How many frames a second the network saw in training."""
    model, seconds = config.model, CLIP_SECONDS
    if model.sampling == "dense":
        if not model.in_seconds:
            raise ValueError(
                f"--fps: needed, as the network was trained with model.stride {model.stride} at each video's own rate; "
                f"give that rate divided by {model.stride}"
            )
        seconds = model.seconds(model.video_segments)
    return model.video_segments / seconds


def prepare(frame: np.ndarray, size: int) -> Tensor:
    """A frame uint8 (H, W, 3) as input of the network: float32 (3, size, size), 0..1."""
    return resized(torch.from_numpy(frame)[None], size)[0] / 255


class AudioFeed:
    """The spectrograms of the audio that a frame comes with, (1, A, 3, H, W); None for a network without audio."""

    def __init__(self, config: Config, device: torch.device) -> None:
        self._options, self._segments = config.data_augmentation.audio_image_param, config.model.audio_segments
        self._device = device

    def __call__(self, frame: StreamFrame | None) -> Tensor | None:
        if not self._segments:
            return None
        if frame is None or frame.audio.shape[1] < SHORTEST_CUT:
            spectrograms = silent_spectrogram(self._options, self._segments)
        else:
            columns = log_mel_columns(frame.audio[: self._segments], frame.rate, self._options)
            spectrograms = spectrogram(columns, self._options, self._segments)
        return torch.from_numpy(spectrograms)[None].to(self._device)
