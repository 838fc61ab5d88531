"""Predictions of a causal network on a stream, while it comes. S video segments, A audio segments."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from pipelines.audio.log_mel import SHORTEST_CUT, log_mel_columns, silent_spectrogram, spectrogram
from pipelines.decode.stream import StreamFrame, read_stream
from tsam_dali.config.load import Config
from tsam_dali.model.precision import autocast
from tsam_dali.model.streaming import Stream

CLIP_SECONDS = 10.0
"""What S frames span where nobody says how many frames a second there are: the length of a clip of Kinetics."""
HEAR_SECONDS = 0.5
"""The audio is heard anew after so long: its pictures and their features cost some three frames."""


class LiveScores(NamedTuple):
    """What a network says after a frame."""

    time: float  # seconds from the first frame of the stream
    probabilities: Tensor  # float32 (C,)


def follow(
    network: nn.Module, config: Config, device: torch.device, source: str, fps: float | None = None
) -> Iterator[LiveScores]:
    """Probabilities after each frame that is fed; see `pipelines.decode.stream.read_stream`.

    A network with audio hears the audio of the time that S frames span, as far as it has come, anew with a frame that
    comes HEAR_SECONDS or more after it did so last; where the source has no audio, silence.

    Args:
        network: causal, on `device`, in evaluation mode.
        config: its settings.
        device: where it runs.
        source: a video file, a pipe or a camera.
        fps: frames per second that are fed; default: S / CLIP_SECONDS.

    Raises:
        tsam_dali.model.backbone.ModelError: the network needs later frames.
        pipelines.decode.container.VideoError: the source cannot be read.
        pipelines.audio.read.AudioError: there is no decoder for its audio.
    """
    segments, size = config.model.video_segments, config.data_augmentation.video_image_param.output_size
    fps = fps or segments / CLIP_SECONDS
    hear = AudioFeed(config, device)
    stream, due = Stream(network, hear(None)), 0.0
    heard = segments / fps if config.model.audio_segments else 0.0
    for frame in read_stream(source, fps, heard):
        with autocast(config.training_param, device):
            if frame.rate and frame.time >= due:
                stream.hear(hear(frame))
                due = frame.time + HEAR_SECONDS
            logits = stream.push(prepare(frame.image, size).to(device))
        yield LiveScores(frame.time, logits.float().softmax(0).cpu())


def prepare(picture: np.ndarray, size: int) -> Tensor:
    """A picture uint8 (H, W, 3) as the network sees it: float32 (3, size, size), 0..1.

    Torch's bilinear with antialias differs from DALI's in the outermost pixel only, as far as whole levels show.
    """
    planes = torch.from_numpy(picture).permute(2, 0, 1)[None].float()  # (H, W, 3) -> (1, 3, H, W)
    resized = interpolate(planes, (size, size), mode="bilinear", antialias=True, align_corners=False)
    return resized[0].round().clamp(0, 255) / 255


class AudioFeed:
    """The pictures of the audio that a frame comes with, (1, A, 3, H, W), or None for a network without audio."""

    def __init__(self, config: Config, device: torch.device) -> None:
        self._options, self._segments = config.data_augmentation.audio_image_param, config.model.audio_segments
        self._device = device

    def __call__(self, frame: StreamFrame | None) -> Tensor | None:
        if not self._segments:
            return None
        if frame is None or frame.audio.shape[1] < SHORTEST_CUT:
            heard = silent_spectrogram(self._options, self._segments)
        else:
            columns = log_mel_columns(frame.audio[: self._segments], frame.rate, self._options)
            heard = spectrogram(columns, self._options, self._segments)
        return torch.from_numpy(heard)[None].to(self._device)
