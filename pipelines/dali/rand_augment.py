"""The operations of RandAugment on a clip, on any device: the arithmetic of Pillow, with which timm makes them.

One operation changes all frames alike: what depends on the pixels (lowest and highest value, histogram, mean grey) is
that of the whole clip. Nothing is read from the device.

Source: RandAugment, https://arxiv.org/abs/1909.13719
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from pipelines.sampling.variation import Operation

FILL = 128 / 255
"""What comes into the frame from outside of it: grey, timm's default."""
LEVELS = 255


def rand_augment(clip: Tensor, operation: Operation) -> Tensor:
    """The changed clip: float32 (S, 3, H, W), 0..1, -> the same."""
    if operation.kind in _AFFINE:
        return _moved(clip, _AFFINE[operation.kind](operation.value))
    if operation.kind == "Sharpness":
        return _sharpened(clip, operation.value)
    tall = clip.transpose(0, 1).flatten(1, 2)  # (S, 3, H, W) -> (3, S*H, W): one image
    return _changed(tall, operation).unflatten(1, (len(clip), -1)).transpose(0, 1)


def _changed(image: Tensor, operation: Operation) -> Tensor:
    """(3, H, W) -> the same, by values alone."""
    from torchvision.transforms.v2 import functional  # takes a while to import, and few trainings need it

    kind, value = operation
    match kind:
        case "AutoContrast":
            low, high = image.amin((1, 2), keepdim=True), image.amax((1, 2), keepdim=True)
            return torch.where(high > low, (image - low) / (high - low), image)
        case "Equalize":
            return functional.equalize(image)
        case "Invert":
            return 1 - image
        case "Posterize":
            return functional.posterize(image, int(value))
        case "Solarize":
            return torch.where(image * LEVELS >= value - 0.5, 1 - image, image)
        case "SolarizeAdd":
            return torch.where(image * LEVELS < 127.5, (image + value / LEVELS).clamp(max=1), image)
        case "Color":
            return functional.adjust_saturation(image, value)
        case "Contrast":
            return functional.adjust_contrast(image, value)
        case "Brightness":
            return functional.adjust_brightness(image, value)
    raise ValueError(f"no operation {kind}")


def _rotation(degrees: float) -> tuple[float, ...]:
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return cos, -sin, 0.0, sin, cos, 0.0


_AFFINE = {  # the six numbers of a map from places -1..1 of the result to those of the clip
    "Rotate": _rotation,
    "ShearX": lambda factor: (1.0, factor, factor, 0.0, 1.0, 0.0),  # of square frames, about the corner at the top left
    "ShearY": lambda factor: (1.0, 0.0, 0.0, factor, 1.0, factor),
    "TranslateX": lambda part: (1.0, 0.0, 2 * part, 0.0, 1.0, 0.0),
    "TranslateY": lambda part: (1.0, 0.0, 0.0, 0.0, 1.0, 2 * part),
}


def _moved(clip: Tensor, numbers: tuple[float, ...]) -> Tensor:
    """Bilinear; outside is `FILL`."""
    planes = clip.flatten(0, 1)[None]  # (1, S*3, H, W): one grid for all
    theta = torch.tensor(numbers).view(1, 2, 3).to(clip.device, non_blocking=True)
    grid = affine_grid(theta, list(planes.shape), align_corners=False)
    return grid_sample(planes - FILL, grid, align_corners=False).add_(FILL).view_as(clip)


def _sharpened(clip: Tensor, factor: float) -> Tensor:
    """So much of the clip and the rest of it smoothed, 3 x 3 with 5 in the middle; the outermost pixels stay."""
    rows = clip[..., :-2, :] + clip[..., 1:-1, :] + clip[..., 2:, :]
    smooth = (rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]).add_(clip[..., 1:-1, 1:-1], alpha=4).div_(13)
    found = clip.clone()
    found[..., 1:-1, 1:-1].lerp_(smooth, 1 - factor)
    return found.clamp_(0, 1)
