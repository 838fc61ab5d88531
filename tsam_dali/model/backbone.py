"""The 2D network that runs on single images: a timm model whose blocks take the temporal shift."""

from collections.abc import Callable
from typing import Any, cast

import timm
from timm.layers import PatchEmbed
from timm.models import convnext, regnet, resnet, resnetv2
from timm.models._efficientnet_blocks import EdgeResidual, InvertedResidual, UniversalInvertedResidual
from torch import nn

from tsam_dali.config.sections import Model, ShiftTemporal
from tsam_dali.config.timm_names import TRANSFORMERS, network_problem, timm_name
from tsam_dali.model.shift import TemporalShift
from tsam_dali.model.shift_spec import ShiftSpec
from tsam_dali.model.token_shift import TokenShift, branches, resting_tokens


class Backbone(nn.Module):
    """For type checkers: the attributes of a timm network that are used here."""

    head_hidden_size: int
    pretrained_cfg: dict[str, Any]
    feature_info: list[dict[str, Any]]
    set_grad_checkpointing: Callable[[bool], None]
    group_matcher: Callable[..., dict[str, Any]]
    patch_embed: PatchEmbed  # this and what follows: of transformers alone
    blocks: nn.Sequential | nn.ModuleList
    embed_dim: int
    num_prefix_tokens: int
    no_embed_class: bool


class ModelError(ValueError):
    """A network that cannot be built, or input that it cannot take."""


def create_backbone(options: Model, size: int) -> Backbone:
    """A timm network with new weights that maps images (N, 3, H, W) to features (N, F), F = `.head_hidden_size`.

    Args:
        options: section `model`.
        size: height and width of the images in pixels, for which a transformer's position embeddings are made.

    Raises:
        ModelError: `arch` is of no supported family, `pretrain` names weights that timm does not have for it, or `size`
            is no multiple of its patches.
    """
    if problem := network_problem(options):
        raise ModelError(problem)
    name = timm_name(options)
    backbone = cast(Backbone, timm.create_model(name, pretrained=False, **timm_arguments(options, size)))
    check_patches(backbone, size, size, "data_augmentation.video_image_param.output_size")
    return backbone


def timm_arguments(options: Model, size: int) -> dict[str, Any]:
    """Arguments of `timm.create_model` for a backbone; see `create_backbone`."""
    arguments: dict[str, Any] = {"num_classes": 0}
    if options.drop_path:
        arguments["drop_path_rate"] = options.drop_path
    if timm.models.is_model_in_modules(timm_name(options), TRANSFORMERS):
        # For images of another size timm resizes the position embeddings in the forward pass.
        arguments |= {"img_size": size, "dynamic_img_size": True}
    return arguments


def is_transformer(backbone: nn.Module) -> bool:
    """Whether images are cut into patches, which become tokens."""
    return hasattr(backbone, "patch_embed")


def check_patches(backbone: Backbone, height: int, width: int, what: str) -> None:
    """Raise ModelError unless a transformer's patches cover images of so many pixels; `what` has this size."""
    rows, columns = cast(tuple, backbone.patch_embed.feat_ratio(False)) if is_transformer(backbone) else (1, 1)
    if height % rows or width % columns:
        raise ModelError(
            f"{what}: got {height} x {width} pixels, expected multiples of the patches of {rows} x {columns} of "
            f"{backbone.pretrained_cfg['architecture']}"
        )


def first_weights(options: Model) -> str:
    """`pretrain`; `resnet50_timm` with `imagenet` means MIIL's ImageNet-21k ResNet-50, as TSAM loads it."""
    tsam = options.arch == "resnet50_timm" and options.pretrain == "imagenet"
    return "miil_21k" if tsam else options.pretrain


def insert_shift(backbone: Backbone, options: ShiftTemporal, segments: int, video_segments: int) -> None:
    """Put the shift into every block whose index i in its stage has i % n_insert == m_insert.

    Args:
        backbone: as made by `create_backbone`; changed in place.
        segments: T, segments of a clip, those of video first.
        video_segments: S, those of video.

    Raises:
        ModelError: no channel would move.
    """
    spec = ShiftSpec(segments, video_segments, options.f_div, options.shift_depth, options.edge, options.causal)
    resting = resting_tokens(backbone, options.tokens)
    for block, layer in shift_places(backbone, options.n_insert, options.m_insert):
        if not branches(block):
            convolution = getattr(layer, "conv", layer)  # some families keep it with its norm
            TemporalShift(cast(int, convolution.in_channels), spec).attach(block, layer)
        elif resting is None:
            name = backbone.pretrained_cfg["architecture"]
            raise ModelError(
                f"shift_temporal.tokens: got 'class', but {name} has no class token; set shift_temporal.tokens=all"
            )
        else:
            TokenShift(backbone.embed_dim, spec, resting).attach(block, layer)
    if not any(shift.channels_per_distance for _, shift in shifts(backbone)):
        raise ModelError(
            "the shift moves no channel: no block with a residual branch and enough channels has "
            f"i % n_insert ({options.n_insert}) == m_insert ({options.m_insert}) and C // f_div ({options.f_div}) // "
            f"shift_depth ({options.shift_depth}) > 0; change shift_temporal, or set shift_temporal.status=false"
        )


def shift_places(backbone: nn.Module, n_insert: int = 1, m_insert: int = 0) -> list[tuple[nn.Module, nn.Module]]:
    """The chosen blocks, each with the layer of its residual branch whose input is shifted.

    A transformer's block has two such branches, and stands here once for each; the first layer is the block itself.
    """
    places = []
    for stage in backbone.modules():
        for i, block in enumerate(stage.children()):
            if i % n_insert == m_insert:
                first = _first_of_branch(block)
                names = (first,) if first else branches(block)
                places += [(block, block.get_submodule(name)) for name in names]
    return places


def shifts(backbone: nn.Module) -> list[tuple[str, TemporalShift]]:
    """Every shift, with the name of its block."""
    return [
        (name.rpartition(".")[0], module)
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
