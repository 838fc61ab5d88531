"""The 2D network that runs on single images: a timm model whose residual branches take the temporal shift."""

from typing import Any, cast

import timm
from timm.models import convnext, regnet, resnet, resnetv2
from timm.models._efficientnet_blocks import EdgeResidual, InvertedResidual, UniversalInvertedResidual
from torch import nn

from tsam_dali.config.sections import Model, ShiftTemporal
from tsam_dali.config.timm_names import network_problem, timm_name
from tsam_dali.model.shift import TemporalShift
from tsam_dali.model.shift_spec import ShiftSpec


class Backbone(nn.Module):
    """For type checkers: the attributes of a timm network that are used here."""

    head_hidden_size: int
    pretrained_cfg: dict[str, Any]
    feature_info: list[dict[str, Any]]


class ModelError(ValueError):
    """A network that cannot be built, or input that it cannot take."""


def create_backbone(options: Model) -> Backbone:
    """A timm network with new weights that maps images (N, 3, H, W) to features (N, F), F = `.head_hidden_size`.

    Raises:
        ModelError: `arch` is of no supported family, or `pretrain` names weights that timm does not have for it.
    """
    if problem := network_problem(options):
        raise ModelError(problem)
    return cast(Backbone, timm.create_model(timm_name(options), pretrained=False, num_classes=0))


def first_weights(options: Model) -> str:
    """`pretrain`; `resnet50_timm` with `imagenet` means MIIL's ImageNet-21k ResNet-50, as TSAM loads it."""
    tsam = options.arch == "resnet50_timm" and options.pretrain == "imagenet"
    return "miil_21k" if tsam else options.pretrain


def insert_shift(backbone: nn.Module, options: ShiftTemporal, segments: int, video_segments: int) -> None:
    """Put the shift into every block whose index i in its stage has i % n_insert == m_insert.

    Args:
        backbone: as made by `create_backbone`; changed in place.
        segments: T, segments of a clip, those of video first.
        video_segments: S, those of video.

    Raises:
        ModelError: no channel would move.
    """
    spec = ShiftSpec(segments, video_segments, options.f_div, options.shift_depth, options.edge, options.causal)
    for block, layer in shift_places(backbone, options.n_insert, options.m_insert):
        convolution = getattr(layer, "conv", layer)  # some families keep it with its norm
        TemporalShift(cast(int, convolution.in_channels), spec).attach(block, layer)
    if not any(shift.channels_per_distance for _, shift in shifts(backbone)):
        raise ModelError(
            "the shift moves no channel: no block with a residual branch and enough channels has "
            f"i % n_insert ({options.n_insert}) == m_insert ({options.m_insert}) and C // f_div ({options.f_div}) // "
            f"shift_depth ({options.shift_depth}) > 0; change shift_temporal, or set shift_temporal.status=false"
        )


def shift_places(backbone: nn.Module, n_insert: int = 1, m_insert: int = 0) -> list[tuple[nn.Module, nn.Module]]:
    """The chosen blocks, each with the layer of its residual branch whose input is shifted."""
    places = []
    for stage in backbone.modules():
        for i, block in enumerate(stage.children()):
            name = _first_of_branch(block)
            if name and i % n_insert == m_insert:
                places.append((block, getattr(block, name)))
    return places


def shifts(backbone: nn.Module) -> list[tuple[str, TemporalShift]]:
    """Every shift, with the name of its block."""
    return [
        (name.removesuffix(".shift"), module)
        for name, module in backbone.named_modules()
        if isinstance(module, TemporalShift)
    ]


def _first_of_branch(block: nn.Module) -> str:
    """Name of the layer to shift before; empty for anything that is not a block with a residual branch.

    As in TSM, the layer is the first of the branch, so that the shortcut still carries the frame's own channels; of
    inverted residual blocks it is the expansion, and blocks without one have no place for the shift.
    """
    match block:
        case resnet.BasicBlock() | resnet.Bottleneck():
            return "conv1"
        case resnetv2.PreActBasic() | resnetv2.PreActBottleneck() | resnetv2.Bottleneck():
            return "conv1"
        case regnet.Bottleneck() | regnet.PreBottleneck():
            return "conv1" if block.downsample is not None else ""  # here None means: no shortcut
        case InvertedResidual():
            return "conv_pw" if block.has_skip else ""
        case EdgeResidual():
            return "conv_exp" if block.has_skip else ""
        case UniversalInvertedResidual():
            return "pw_exp" if block.has_skip else ""
        case convnext.ConvNeXtBlock():
            return "conv_dw"
    return ""
