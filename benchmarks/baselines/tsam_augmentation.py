"""TSAM's augmentation as TSAM computes it: torchvision on float tensors, one draw for all frames of a clip.

The draws come from `pipelines.sampling.plan`, so that all loaders of a benchmark see the same frames, crops and
colors.
"""

from functools import partial
from types import ModuleType

import torchvision.transforms.functional as first_functions
from torch import Tensor

from pipelines.sampling.plan import Color, Plan

BLUR_KERNEL = 9  # pixels


def augmented(frames: Tensor, plan: Plan, size: int, functions: ModuleType = first_functions) -> Tensor:
    """Crop, resize (linear, antialias), mirror, color and blur: float32 (S, 3, H, W), 0..1 -> (S, 3, size, size).

    Args:
        frames: all frames of a clip.
        plan: what was drawn.
        size: height and width of the result, in pixels.
        functions: torchvision's first ones, which TSAM uses, or those of `torchvision.transforms.v2`.
    """
    frames = functions.crop(frames, *plan.crop)
    frames = functions.resize(frames, [size, size], antialias=True)
    if plan.flip:
        frames = functions.hflip(frames)
    return recolored(frames, plan, functions)


def recolored(frames: Tensor, plan: Plan, functions: ModuleType = first_functions) -> Tensor:
    """Color, grey and blur: float32 (S, 3, H, W), 0..1 -> the same."""
    color = plan.color
    if color[:4] != Color()[:4]:
        changes = (
            partial(functions.adjust_brightness, brightness_factor=color.brightness),
            partial(functions.adjust_contrast, contrast_factor=color.contrast),
            partial(functions.adjust_saturation, saturation_factor=color.saturation),
            partial(functions.adjust_hue, hue_factor=color.hue / 360),
        )
        for number in color.order:
            frames = changes[number](frames)
    if color.grey:
        frames = functions.rgb_to_grayscale(frames, num_output_channels=3)
    if plan.blur_sigma:
        frames = functions.gaussian_blur(frames, [BLUR_KERNEL, BLUR_KERNEL], [plan.blur_sigma, plan.blur_sigma])
    return frames
