"""Which frames, crop, colors and audio window a sample gets: pure arithmetic on seeds, numpy only.

Every draw is a function of (seed, epoch, row), so a sample is the same with any number of workers or ranks, on CPU and
GPU, and after a restart at any step.

Letters: n frames of a clip, S segments, H and W its height and width, m its short side.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np
from annotated_types import Ge, Interval, MinLen

from pipelines.sampling.dense import DenseClip, Stretch

EVALUATION_SCALES = tuple(1 - i / 100 for i in range(11))
"""Crop scales of the second and later clips of a multi-clip evaluation."""

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)
"""The changes of color, as `Color.order` names them."""
GREY = (0.2989, 0.587, 0.114)
"""Weights of red, green and blue in a grey value, as torchvision has them."""


@dataclass(frozen=True, kw_only=True)
class VideoImage:
    """Sizes of the frames."""

    input_size: Annotated[int, Ge(1)] = 256
    """Height of TSAM's extracted frames. Crops are taken relative to the short side, so it changes nothing here."""
    output_size: Annotated[int, Ge(1)] = 224
    """Height and width of what the network sees, in pixels."""


@dataclass(frozen=True, kw_only=True)
class VideoAugmentation:
    """How training frames are varied; one draw for all frames of a clip."""

    RandomHorizontalFlip: bool = True
    """Mirror half of the clips. Where left and right matter, give `dataset.flip_labels`, or switch it off."""
    scales: Annotated[tuple[Annotated[float, Interval(gt=0, le=1)], ...], MinLen(1)] = (1, 0.875, 0.75, 0.66)
    """Sides of the random crop as parts of the short side; height and width are at most one position apart."""
    ColorJitter: bool = True
    """Vary brightness (0.8 to 1.2), contrast and saturation (0.75 to 1.25) and hue (up to 0.05 of a turn), in an order
    that is drawn, too."""
    RandomGrayscale: Annotated[float, Interval(ge=0, le=1)] = 0.0
    """Part of the clips that lose their color."""
    GaussianBlur: bool = False
    """Blur every clip with a 9 x 9 kernel, sigma 0.5 to 2 pixels, after all changes of color."""
    RandAugment: Annotated[int, Ge(0)] = 0
    """Operations of timm's RandAugment (turn, shear, move, posterize, ...) drawn for each clip, e.g. 2; each is made
    with probability 1/2, the same in all frames, after color and blur. 0: none."""
    RandAugmentMagnitude: Annotated[float, Interval(ge=0, le=10)] = 9.0
    """Strength of these operations; it varies by 0.5 (standard deviation)."""
    RandomErasing: Annotated[float, Interval(ge=0, le=1)] = 0.0
    """Part of the clips in which a rectangle, the same in all frames, is filled with one color."""
    modality_dropout: Annotated[float, Interval(ge=0, le=1)] = 0.0
    """Part of the clips with audio whose frames are black, so that the network has to learn from the audio, too."""

    @property
    def changes_look(self) -> bool:
        """Whether colors are changed, or frames blurred."""
        return self.ColorJitter or self.RandomGrayscale > 0 or self.GaussianBlur


@dataclass(frozen=True, kw_only=True)
class AudioAugmentation:
    """How training audio is varied."""

    status: bool = True
    """Whether the audio is varied at all."""
    random_shift_waveform: tuple[Annotated[float, Ge(0)], Annotated[float, Ge(0)]] = (1.0, 1.0)
    """Up to so many seconds are cut from the start and from the end. Nothing with `model.sampling` dense, whose audio
    belongs to the frames."""
    SpecAugment: Annotated[int, Ge(0)] = 0
    """Masks over bands of the log-mel spectrograms and as many over time, e.g. 2; each covers up to a quarter. 0:
    none."""
    modality_dropout: Annotated[float, Interval(ge=0, le=1)] = 0.0
    """Part of the clips whose audio is silence, so that the network has to learn from the frames, too."""


class Crop(NamedTuple):
    """A rectangle in pixels."""

    y: int
    x: int
    height: int
    width: int


class Color(NamedTuple):
    """Factors of brightness, contrast and saturation, and a turn of the hue in degrees: what `order` says comes first.

    Contrast turns about the mean grey of the frame as it then is; hue is that of HSV. What is `grey` becomes so last.
    """

    brightness: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0
    hue: float = 0.0
    grey: bool = False
    order: tuple[int, int, int, int] = (BRIGHTNESS, CONTRAST, SATURATION, HUE)


class Plan(NamedTuple):
    """Everything random about one sample."""

    frames: np.ndarray  # (S,) indices counted from 0
    crop: Crop
    flip: bool = False
    color: Color = Color()
    blur_sigma: float = 0.0  # pixels; 0: none
    audio_cut: tuple[float, float] = (0.0, 0.0)  # seconds off the start and off the end
    stretch: tuple[float, float] | None = None  # seconds of the audio, from the first frame; None: all of the clip

    @property
    def look(self) -> np.ndarray:
        """What is done to the colors (four factors, grey, four places of the order), and the blur: float32 (10,)."""
        return np.hstack([*self.color, self.blur_sigma]).astype(np.float32)


def epoch_order(num_clips: int, seed: int, epoch: int) -> np.ndarray:
    """The order of an epoch: one permutation of 0..num_clips-1 for the whole job, int64 (num_clips,)."""
    return np.random.default_rng((seed, epoch)).permutation(num_clips)


def training_frames(num_frames: int, num_segments: int, rng: np.random.Generator) -> np.ndarray:
    """One random frame out of each of S equal parts, int64 (S,), counted from 0 (TSAM's training rule).

    With tick = n / S, segment s gives int(tick * s) + a draw from 0..int(tick), at most n - 1. Example: 10 frames,
    4 segments, tick 2.5: draws from 0-2, 2-4, 5-7, 7-9. A clip with fewer frames than segments repeats frames.
    """
    tick = num_frames / num_segments
    starts = (tick * np.arange(num_segments)).astype(np.int64)
    return np.minimum(starts + rng.integers(0, int(tick) + 1, num_segments), num_frames - 1)


def validation_frames(num_frames: int, num_segments: int) -> np.ndarray:
    """The middle frame of each of S equal parts: int(tick / 2 + tick * s), int64 (S,), counted from 0."""
    tick = num_frames / num_segments
    return (tick / 2 + tick * np.arange(num_segments)).astype(np.int64)


def scale_pairs(scales: Sequence[float]) -> list[tuple[float, float]]:
    """All pairs (for height, for width) of scales whose positions in the list differ by at most one."""
    return [(a, b) for i, a in enumerate(scales) for j, b in enumerate(scales) if abs(i - j) <= 1]


def random_crop(height: int, width: int, scales: Sequence[float], rng: np.random.Generator) -> Crop:
    """A rectangle of (int(m * a), int(m * b)) pixels at a random place, (a, b) drawn from `scale_pairs`."""
    pairs = scale_pairs(scales)
    scale_y, scale_x = pairs[rng.integers(len(pairs))]
    short = min(height, width)
    crop_height, crop_width = max(1, int(short * scale_y)), max(1, int(short * scale_x))
    y, x = rng.integers(0, (height - crop_height + 1, width - crop_width + 1))
    return Crop(int(y), int(x), crop_height, crop_width)


def centre_crop(height: int, width: int) -> Crop:
    """The m x m square in the middle."""
    short = min(height, width)
    return Crop((height - short) // 2, (width - short) // 2, short, short)


def displayed_size(height: int, width: int, pixel_aspect: float) -> tuple[int, int]:
    """Height and width of a frame in square pixels; one side is stretched, none shrunk.

    96 x 128 with pixels of aspect 2: 96 x 256.
    """
    return (height, round(width * pixel_aspect)) if pixel_aspect >= 1 else (round(height / pixel_aspect), width)


def undisplayed(crop: Crop, displayed: tuple[int, int], size: tuple[int, int]) -> Crop:
    """The part of a frame of `size` that is shown as `crop` where the frame is shown with the size `displayed`."""
    (y, height), (x, width) = (
        _scaled(begin, length, to, of)
        for begin, length, to, of in zip(crop[:2], crop[2:], size, displayed, strict=True)
    )
    return Crop(y, x, height, width)


def _scaled(begin: int, length: int, to: int, of: int) -> tuple[int, int]:
    """A part of a side of `of` pixels, if this is one of `to` pixels; inside of it."""
    scaled = max(1, round(length * to / of))
    return min(round(begin * to / of), to - scaled), scaled


def training_plan(
    num_frames: int,
    height: int,
    width: int,
    num_segments: int,
    video: VideoAugmentation,
    audio: AudioAugmentation,
    *,
    seed: int,
    epoch: int,
    row: int,
    repeat: int = 0,
    dense: DenseClip | None = None,
) -> Plan:
    """The draws of a training sample: a function of (seed, epoch, row, repeat) and of the clip's length and size.

    dense: its stretches, if one of them is to be drawn.
    """
    rng = np.random.default_rng((seed, epoch, row, *([repeat] if repeat else [])))
    frames, stretch = dense.random(rng) if dense else Stretch(training_frames(num_frames, num_segments, rng), None)
    plan = Plan(
        frames=frames,
        crop=random_crop(height, width, video.scales, rng),
        flip=bool(rng.random() < 0.5) and video.RandomHorizontalFlip,
        color=_color(video, rng),
        blur_sigma=float(rng.uniform(0.5, 2)) if video.GaussianBlur else 0.0,
        audio_cut=tuple(rng.uniform(0, audio.random_shift_waveform).tolist()) if audio.status else (0.0, 0.0),
        stretch=stretch,
    )
    if dense:
        plan = plan._replace(audio_cut=(0.0, 0.0))
    if not video.ColorJitter:
        return plan
    return plan._replace(color=plan.color._replace(order=tuple(rng.permutation(4).tolist())))


def _color(video: VideoAugmentation, rng: np.random.Generator) -> Color:
    color = Color()
    if video.ColorJitter:
        low, high = (0.8, 0.75, 0.75, -18.0), (1.2, 1.25, 1.25, 18.0)  # hue: 0.05 of a turn is 18 degrees
        color = Color(*rng.uniform(low, high).tolist())
    return color._replace(grey=bool(rng.random() < video.RandomGrayscale))


def evaluation_plan(
    num_frames: int,
    height: int,
    width: int,
    num_segments: int,
    *,
    seed: int,
    row: int,
    view: int,
    dense: DenseClip | None = None,
) -> Plan:
    """The draws of clip number `view` of an evaluation.

    View 0 takes the middle frames, or with `dense` the centred stretch, and the center crop, and draws nothing; later
    views draw frames as in training and a crop of at least 0.9 of the short side, never a flip or a color. The epoch
    plays no part.
    """
    if view == 0:
        frames, stretch = dense.view(0) if dense else Stretch(validation_frames(num_frames, num_segments), None)
        return Plan(frames=frames, crop=centre_crop(height, width), stretch=stretch)
    rng = np.random.default_rng((seed, row, view))
    frames, stretch = dense.random(rng) if dense else Stretch(training_frames(num_frames, num_segments, rng), None)
    return Plan(frames=frames, crop=random_crop(height, width, EVALUATION_SCALES, rng), stretch=stretch)
