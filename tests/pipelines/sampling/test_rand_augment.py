"""RandAugment's operations equal timm's on images, and change all frames of a clip alike."""

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import auto_augment

from pipelines.dali.rand_augment import rand_augment
from pipelines.sampling.variation import OPERATIONS, Operation, strength

SIDE = 48
TIMM = {"Posterize": "PosterizeIncreasing", "Solarize": "SolarizeIncreasing", "SolarizeAdd": "SolarizeAdd"}
TIMM |= {kind: f"{kind}Increasing" for kind in ("Color", "Contrast", "Brightness", "Sharpness")}
TIMM |= {"TranslateX": "TranslateXRel", "TranslateY": "TranslateYRel"}


def images(count, seed=0):
    """Smooth frames, uint8 (S, H, W, 3); of noise an interpolation could not be compared."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(20, 230, (count, 6, 6, 3), np.uint8)
    return np.stack([np.asarray(Image.fromarray(frame).resize((SIDE, SIDE), Image.BICUBIC)) for frame in coarse])


def to_clip(frames):
    return torch.from_numpy(frames.transpose(0, 3, 1, 2).copy()).float() / 255


def test_the_set_is_timms():
    known = {name.removesuffix("Rel") for name in auto_augment._RAND_INCREASING_TRANSFORMS}
    assert {TIMM.get(kind, kind).removesuffix("Rel") for kind in OPERATIONS} == known
    assert len(OPERATIONS) == len(auto_augment._RAND_INCREASING_TRANSFORMS)


@pytest.mark.parametrize("kind", OPERATIONS)
@pytest.mark.parametrize(("magnitude", "negative"), [(0.0, False), (3.3, True), (9.0, False), (9.9, True)])
def test_an_operation_is_timms(kind, magnitude, negative, monkeypatch):
    name = TIMM.get(kind, kind)
    monkeypatch.setattr(auto_augment, "_randomly_negate", lambda value: -value if negative else value)
    level = auto_augment.LEVEL_TO_ARG[name]
    arguments = level(magnitude, {}) if level else ()
    assert strength(kind, magnitude, negative) == pytest.approx(arguments[0] if arguments else 0)
    (frame,) = images(1)
    options = {"resample": Image.Resampling.BILINEAR, "fillcolor": (128,) * 3}
    expected = auto_augment.NAME_TO_OP[name](Image.fromarray(frame), *arguments, **options)
    found = rand_augment(to_clip(frame[None]), Operation(kind, strength(kind, magnitude, negative)))[0]
    assert found.min() >= 0
    assert found.max() <= 1
    difference = np.abs(found.permute(1, 2, 0).numpy() * 255 - np.asarray(expected, float))
    allowed = 16 if kind == "Posterize" else 2  # torchvision keeps n / levels, Pillow the lowest value with these bits
    # Where frame and filling meet, Pillow takes one of them for a pixel, and this a mixture.
    assert np.quantile(difference, 0.9 if name.startswith(("Rotate", "Shear", "Translate")) else 1) <= allowed


def test_posterize_keeps_a_bit():
    """timm would ask Pillow for none, which is an error."""
    assert strength("Posterize", 10.0) == 1


@pytest.mark.parametrize("kind", OPERATIONS)
def test_equal_frames_stay_equal(kind):
    clip = to_clip(images(1).repeat(3, axis=0))
    found = rand_augment(clip, Operation(kind, strength(kind, 7.0)))
    assert found.shape == clip.shape
    assert torch.equal(found, found[:1].expand_as(found))


@pytest.mark.parametrize("kind", OPERATIONS)
def test_frames_are_changed_as_one_image(kind):
    """Colors by one map for the whole clip; places in each frame as if it were alone."""
    clip, operation = to_clip(images(2)), Operation(kind, strength(kind, 7.0))
    found = rand_augment(clip, operation)
    if kind in ("Rotate", "ShearX", "ShearY", "TranslateX", "TranslateY", "Sharpness"):
        expected = torch.cat([rand_augment(frame[None], operation) for frame in clip])
    else:
        expected = torch.cat(rand_augment(torch.cat([*clip], 1)[None], operation).split(SIDE, 2))
    torch.testing.assert_close(found, expected)
