"""Further draws of a training sample: RandAugment, erasing, masks of spectrograms, modality dropout; numpy only.

Each of them draws from a stream of its own, a function of (seed, epoch, row, repeat): switched on or off, it changes
neither the others nor frames, crop, colors and audio window.
"""

from typing import Literal, NamedTuple

import numpy as np

from pipelines.sampling.plan import AudioAugmentation, VideoAugmentation

OPERATIONS = (
    *("AutoContrast", "Equalize", "Invert", "Rotate", "Posterize", "Solarize", "SolarizeAdd", "Color", "Contrast"),
    *("Brightness", "Sharpness", "ShearX", "ShearY", "TranslateX", "TranslateY"),
)
"""Of RandAugment: timm's set in which all grow with the magnitude (`inc1`)."""
HIGHEST = 10
"""Magnitude."""
SPREAD = 0.5
"""Standard deviation of the magnitude, as in timm's usual `mstd0.5`."""
ERASED_AREA = 0.02, 1 / 3
ERASED_ASPECT = 0.3, 1 / 0.3
"""Height / width of what is erased."""
WIDEST_MASK = 0.25
"""Of a spectrogram, as part of its bands or of its time."""

Modality = Literal["frames", "audio"]


class Operation(NamedTuple):
    """One of `OPERATIONS` and how strong: see `strength`."""

    kind: str
    value: float


class Span(NamedTuple):
    """A part of a side, which is 0..1 long."""

    start: float
    length: float

    def pixels(self, side: int) -> slice:
        """The pixels of a side of so many."""
        return slice(round(self.start * side), round((self.start + self.length) * side))


class Erased(NamedTuple):
    """A rectangle that is filled with a color."""

    rows: Span
    columns: Span
    color: tuple[float, float, float]  # 0..1


class Variation(NamedTuple):
    """How a clip is varied besides its `pipelines.sampling.plan.Plan`; the same for all frames."""

    operations: tuple[Operation, ...] = ()
    erased: Erased | None = None
    bands: tuple[Span, ...] = ()  # masked in all spectrograms of the clip
    times: tuple[Span, ...] = ()
    silenced: Modality | None = None


def varies(video: VideoAugmentation, audio: AudioAugmentation) -> bool:
    """Whether any of these draws is switched on."""
    of_audio = audio.status and (audio.SpecAugment > 0 or audio.modality_dropout > 0)
    return video.RandAugment > 0 or video.RandomErasing > 0 or video.modality_dropout > 0 or of_audio


def training_variation(
    video: VideoAugmentation, audio: AudioAugmentation, *, seed: int, epoch: int, row: int, repeat: int = 0
) -> Variation:
    """The draws of a training sample: a function of (seed, epoch, row, repeat)."""

    def stream(kind: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence((seed, epoch, row, repeat), spawn_key=(kind,)))

    varied = Variation()
    if video.RandAugment:
        varied = varied._replace(operations=_operations(video.RandAugment, video.RandAugmentMagnitude, stream(0)))
    if video.RandomErasing:
        varied = varied._replace(erased=_erased(video.RandomErasing, stream(1)))
    if audio.status and audio.SpecAugment:
        rng = stream(2)
        bands, times = (tuple(_span(WIDEST_MASK, rng) for _ in range(audio.SpecAugment)) for _ in range(2))
        varied = varied._replace(bands=bands, times=times)
    of_audio = audio.modality_dropout if audio.status else 0.0
    if video.modality_dropout or of_audio:
        place = stream(3).random()
        silenced: Modality | None = "frames" if place < video.modality_dropout else None
        varied = varied._replace(silenced="audio" if place >= 1 - of_audio else silenced)
    return varied


def strength(kind: str, magnitude: float, negative: bool = False) -> float:
    """The value of an operation at a magnitude 0..10, as timm has it.

    Rotate: degrees, counterclockwise; ShearX, ShearY: pixels a pixel; TranslateX, TranslateY: part of the side, to the
    left and up; Posterize: bits that are kept; Solarize: level 0..256 from which on values are inverted; SolarizeAdd:
    levels added to dark values; Color, Contrast, Brightness, Sharpness: factor. What is `negative` goes the other way.
    """
    part, sign = magnitude / HIGHEST, -1 if negative else 1
    if kind in ("Color", "Contrast", "Brightness", "Sharpness"):
        return max(0.1, 1 + sign * 0.9 * part)
    highest = {"Rotate": 30, "ShearX": 0.3, "ShearY": 0.3, "TranslateX": 0.45, "TranslateY": 0.45}
    if kind in highest:
        return sign * highest[kind] * part
    return {
        "Posterize": max(1, 4 - int(part * 4)),
        "Solarize": 256 - int(part * 256),
        "SolarizeAdd": int(part * 110),
    }.get(kind, 0)


def _operations(count: int, magnitude: float, rng: np.random.Generator) -> tuple[Operation, ...]:
    """Some of `count`, each with probability 1/2, in the order in which they are made."""
    kinds, made, negative = rng.integers(0, len(OPERATIONS), count), rng.random(count) < 0.5, rng.random(count) < 0.5
    magnitudes = rng.normal(magnitude, SPREAD, count).clip(0, HIGHEST)
    return tuple(
        Operation(OPERATIONS[kinds[i]], strength(OPERATIONS[kinds[i]], float(magnitudes[i]), bool(negative[i])))
        for i in range(count)
        if made[i]
    )


def _erased(share: float, rng: np.random.Generator) -> Erased | None:
    """Of so many clips a rectangle; its area, and the logarithm of its aspect, are evenly spread."""
    if rng.random() >= share:
        return None
    area, aspect = rng.uniform(*ERASED_AREA), np.exp(rng.uniform(*np.log(ERASED_ASPECT)))
    sides = (min(1.0, float(np.sqrt(area * aspect))), min(1.0, float(np.sqrt(area / aspect))))
    rows, columns = (Span(float(rng.uniform(0, 1 - side)), side) for side in sides)
    red, green, blue = rng.random(3).tolist()
    return Erased(rows, columns, (red, green, blue))


def _span(longest: float, rng: np.random.Generator) -> Span:
    length = float(rng.uniform(0, longest))
    return Span(float(rng.uniform(0, 1 - length)), length)
