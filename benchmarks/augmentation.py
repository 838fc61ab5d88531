"""TSAM's augmentation as TSAM computes it: torchvision's operations on tensors, one draw for all frames of a clip.

The draws come from `pipelines.sampling`, so that all loaders of a benchmark see the same frames, crops and colours.
"""

import torchvision.transforms.functional as transforms
from torch import Tensor

from pipelines.sampling import Plan

BLUR_KERNEL = 9  # pixels


def augmented(pictures: Tensor, plan: Plan, size: int) -> Tensor:
    """Crop, resize (linear, antialias), mirror, colour and blur: (S, 3, H, W) -> (S, 3, size, size), the same dtype.

    Args:
        pictures: float32 in 0..1, as TSAM has them, or uint8, which torchvision computes faster.
        plan: what was drawn. A clip without colour goes through ColorJitter first, as in TSAM.
        size: height and width of the result, in pixels.
    """
    pictures = transforms.crop(pictures, *plan.crop)
    pictures = transforms.resize(pictures, [size, size], antialias=True)
    if plan.flip:
        pictures = transforms.hflip(pictures)
    colour = plan.colour
    if colour != type(colour)():
        pictures = transforms.adjust_brightness(pictures, colour.brightness)
        pictures = transforms.adjust_contrast(pictures, colour.contrast)
        pictures = transforms.adjust_saturation(pictures, colour.saturation)
        pictures = transforms.adjust_hue(pictures, colour.hue / 360)
    if colour.saturation == 0:
        pictures = transforms.rgb_to_grayscale(pictures, num_output_channels=3)
    if plan.blur_sigma:
        pictures = transforms.gaussian_blur(pictures, BLUR_KERNEL, plan.blur_sigma)
    return pictures
