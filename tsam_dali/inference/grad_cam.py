"""Grad-CAM (https://arxiv.org/abs/1610.02391) for every frame and for the spectrograms: where a class was found.

S video segments, A audio segments, T = S + A.
"""

from typing import NamedTuple

import torch
from captum.attr import LayerGradCam, LayerGradientXActivation
from torch import Tensor, nn
from torch.nn.functional import interpolate

from tsam_dali.model.backbone import is_transformer
from tsam_dali.model.tsam import TSAM

CELLS = 4
"""Cells along a side that a map needs at least; smaller ones do not localise anything."""


class Explanation(NamedTuple):
    """Evidence for a class, and where: maps 0..1, the frames on one scale and the spectrograms on their own."""

    label: int
    video: Tensor  # float32 (S, H, W)
    audio: Tensor | None  # float32 (A, H, W)
    share: Tensor  # float32 (T,): share of each segment in all evidence; zeros if there is none

    @property
    def is_empty(self) -> bool:
        """No evidence for the class anywhere: all maps are zero."""
        return not self.share.any()


def explain(network: TSAM, video: Tensor, audio: Tensor | None, label: int) -> Explanation:
    """The places that raise the logit of a class.

    The features are those of the network's last stage or, for small images, of the last stage whose maps still have
    CELLS cells along a side; of a transformer those that enter its last block, for each patch.

    Args:
        network: as made by `tsam_dali.model.build_model`, in evaluation mode.
        video: float32 (S, 3, H, W), 0..1.
        audio: float32 (A, 3, H, W), or None.
        label: number of the class.
    """
    device, size = next(network.parameters()).device, video.shape[-2:]
    inputs = tuple(part[None].to(device) for part in (video, audio) if part is not None)
    # A batch of one clip for the network is a batch of T images for its layers.
    if is_transformer(network.backbone):
        found = _of_patches(network, inputs, label)
    else:
        method = LayerGradCam(network, _layer(network, min(size)))
        found = method.attribute(inputs, target=label, relu_attributions=True)  # (T, 1, h, w)
    found = found.detach().float().cpu()
    maps = interpolate(found, size, mode="bilinear", align_corners=False)[:, 0]  # (T, H, W)
    total, segments = maps.sum((1, 2)), len(video)
    return Explanation(
        label=label,
        video=_part(maps[:segments], maps[:segments].max()),
        audio=None if audio is None else _part(maps[segments:], maps[segments:].max()),
        share=_part(total, total.sum()),
    )


def _of_patches(network: TSAM, inputs: tuple[Tensor, ...], label: int) -> Tensor:
    """Evidence (T, 1, h, w) of the patches: positive sums of features times gradients.

    A gradient of its own for each patch, not their mean: most of the class comes through a few patches that attention
    chooses.
    """
    backbone = network.backbone
    # What enters attention: beyond it the class token may be all that counts.
    layer = next(layer for layer in backbone.blocks[-1].modules() if "norm" in type(layer).__name__.lower())
    tokens = LayerGradientXActivation(network, layer).attribute(inputs, target=label)  # (T, N, F)
    patches = tokens[:, backbone.num_prefix_tokens :].sum(2).relu()
    height, width = backbone.patch_embed.dynamic_feat_size((inputs[0].shape[-2], inputs[0].shape[-1]))
    return patches.unflatten(1, (1, height, width))


def _part(values: Tensor, whole: Tensor) -> Tensor:
    return values / whole.clamp(min=torch.finfo(values.dtype).tiny)


def _layer(network: TSAM, side: int) -> nn.Module:
    stages = network.backbone.feature_info
    chosen = [stage for stage in stages if side // stage["reduction"] >= CELLS] or stages[:1]
    return network.backbone.get_submodule(chosen[-1]["module"])
