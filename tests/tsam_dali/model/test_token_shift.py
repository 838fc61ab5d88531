"""Transformers: the tokens are shifted before each residual branch, and the shortcut carries the shifted tokens."""

import copy

import pytest
import timm
import torch
from timm.layers import resample_abs_pos_embed
from timm.models.eva import Eva
from timm.models.vision_transformer import (
    DiffParallelScalingBlock,
    ParallelScalingBlock,
    ParallelThingsBlock,
    ResPostBlock,
    VisionTransformer,
)
from torch import nn

from tests.helpers.networks import clips, network, one_thread, settings  # noqa: F401 (one_thread: a fixture)
from tests.tsam_dali.model.naive_vit import NaiveViT, shifted_tokens, tokshift
from tsam_dali.config.sections import ShiftTemporal
from tsam_dali.model import build_model
from tsam_dali.model.backbone import ModelError, insert_shift, shifts
from tsam_dali.model.streaming import Stream
from tsam_dali.model.summary import describe

TOKSHIFT = ("shift_temporal.f_div=4", "shift_temporal.shift_depth=1", "shift_temporal.edge=zero")


def sizes(size: int, audio: int = 1) -> tuple[str, ...]:
    """Settings for square images of so many pixels."""
    audio_options = (
        f"model.audio_segments={audio}",
        f"data_augmentation.audio_image_param.spec_size=[3,{size},{size}]",
    )
    return f"data_augmentation.video_image_param.output_size={size}", *audio_options


def vit(*overrides: str) -> nn.Module:
    """timm's smallest ViT for images of 32 x 32, four patches, with weights in which every layer matters."""
    model = network("model.arch=test_vit", *sizes(32), *overrides)
    generator = torch.Generator().manual_seed(1)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1 or "embed" in name or "token" in name:
            nn.init.normal_(parameter, 1.0 if "norm" in name and "weight" in name else 0.0, 0.3, generator)
    return model


def naive_logits(model: nn.Module, pictures, shift, *insert: int) -> torch.Tensor:
    return NaiveViT(model.backbone.state_dict(), heads=2).logits(*pictures, model.head.state_dict(), shift, *insert)


def test_logits_are_those_of_tokshift():
    model = vit("model.audio_segments=0", *TOKSHIFT)
    pictures = clips(model)
    torch.testing.assert_close(model(*pictures), naive_logits(model, pictures, lambda x: tokshift(x, 8)))
    unshifted = naive_logits(model, pictures, lambda x: x)
    assert (model(*pictures) - unshifted).abs().max() > 0.01


@pytest.mark.parametrize(
    ("video", "audio", "f_div", "depth", "edge", "causal", "tokens", "insert"),
    [
        (4, 1, 4, 2, "keep", False, "class", (1, 0)),
        (4, 1, 4, 2, "keep", False, "all", (1, 0)),
        (3, 2, 2, 4, "zero", False, "class", (2, 1)),  # fewer segments than the shift is deep
        (5, 0, 3, 3, "zero", False, "all", (3, 0)),
        (4, 1, 4, 3, "keep", True, "class", (1, 0)),
        (4, 1, 4, 3, "zero", True, "all", (2, 0)),
        (1, 1, 4, 2, "zero", False, "all", (1, 0)),
    ],
)
def test_logits_are_those_of_the_naive_network(video, audio, f_div, depth, edge, causal, tokens, insert):
    model = vit(
        *(f"model.video_segments={video}", f"model.audio_segments={audio}", f"shift_temporal.f_div={f_div}"),
        *(f"shift_temporal.shift_depth={depth}", f"shift_temporal.edge={edge}", f"shift_temporal.tokens={tokens}"),
        *(f"shift_temporal.causal={str(causal).lower()}", f"shift_temporal.n_insert={insert[0]}"),
        f"shift_temporal.m_insert={insert[1]}",
    )
    pictures = clips(model)
    spec = (video + audio, video, f_div, depth, edge, causal)
    moving = [0] if tokens == "class" else [0, 1, 2, 3, 4]
    expected = naive_logits(model, pictures, lambda x: shifted_tokens(x, moving, *spec), *insert)
    torch.testing.assert_close(model(*pictures), expected)


SMALL = {"img_size": 32, "patch_size": 16, "embed_dim": 16, "num_heads": 2, "depth": 1, "num_classes": 0}
NORM_LAST, NORM_FIRST = ("norm1", "norm2"), ("attn.proj", "mlp.fc2")


@pytest.mark.parametrize(
    ("backbone", "ends"),
    [
        (VisionTransformer(**SMALL), NORM_FIRST),
        (VisionTransformer(**SMALL, reg_tokens=2), NORM_FIRST),
        (VisionTransformer(**SMALL, class_token=False, global_pool="avg"), NORM_FIRST),
        (VisionTransformer(**SMALL, block_fn=ResPostBlock), NORM_LAST),
        (VisionTransformer(**SMALL, block_fn=ParallelThingsBlock), ("proj", "fc2")),
        (VisionTransformer(**SMALL, block_fn=ParallelScalingBlock), ()),
        (VisionTransformer(**SMALL, block_fn=DiffParallelScalingBlock), ()),
        (Eva(**SMALL, num_reg_tokens=2), NORM_FIRST),
        (Eva(**SMALL, swiglu_mlp=True, scale_mlp=True), NORM_FIRST),
        (Eva(**SMALL, use_post_norm=True), NORM_LAST),
    ],
)
@pytest.mark.parametrize("tokens", ["class", "all"])
def test_every_kind_of_block(backbone, ends, tokens):
    """With one branch that adds nothing, the block is the other branch on shifted tokens; registers stay."""
    backbone = copy.deepcopy(backbone).double().eval()
    options = ShiftTemporal(shift_depth=2, f_div=2, tokens=tokens)
    if tokens == "class" and backbone.cls_token is None:
        backbone.pretrained_cfg = {"architecture": "this"}
        with pytest.raises(ModelError, match="this has no class token; set shift_temporal.tokens=all"):
            insert_shift(backbone, options, 5, 4)
        return
    classes = 0 if backbone.cls_token is None else 1
    registers = 0 if backbone.reg_token is None else backbone.reg_token.shape[1]
    patches = range(classes + registers, classes + registers + 4) if tokens == "all" else ()
    x = torch.randn(10, classes + registers + 4, 16, dtype=torch.float64, generator=torch.manual_seed(0))

    def moved(x):
        return shifted_tokens(x, [*range(classes), *patches], 5, 4, 2, 2, "keep")

    for end in ends or ("",):
        shifted = copy.deepcopy(backbone)
        for name, parameter in shifted.blocks.named_parameters():
            if ends and end in name:
                nn.init.zeros_(parameter)
            elif parameter.ndim == 1:
                nn.init.normal_(parameter, generator=torch.manual_seed(1))
        plain = copy.deepcopy(shifted).blocks[0]
        insert_shift(shifted, options, 5, 4)
        before = x.clone()
        found = shifted.blocks[0](x)
        assert torch.equal(x, before)
        if not ends:
            expected = plain(moved(x))
        elif end == ends[0]:
            expected = plain(moved(moved(x)))
        else:
            expected = moved(plain(moved(x)))
        assert torch.equal(found, expected)
        assert not torch.equal(found, plain(x))
        assert set(shifted.state_dict()) == set(backbone.state_dict())


def test_gradients_are_those_of_the_naive_network():
    model = vit("model.video_segments=3", "shift_temporal.tokens=all")
    pictures, spec = clips(model), (4, 3, 4, 2, "keep", False)
    model(*pictures).square().sum().backward()
    found = {name: parameter.grad for name, parameter in model.named_parameters()}
    model.zero_grad()
    parameters = {name.removeprefix("backbone."): value for name, value in model.named_parameters()}
    head = {name: parameters[f"head.{name}"] for name in ("weight", "bias")}
    naive = NaiveViT(parameters, heads=2).logits(*pictures, head, lambda x: shifted_tokens(x, [*range(5)], *spec))
    naive.square().sum().backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad)


@pytest.mark.parametrize("tokens", ["class", pytest.param("all", marks=pytest.mark.slow)])
def test_compiles_without_graph_break(tokens):
    model = vit(f"shift_temporal.tokens={tokens}")
    compiled = torch.compile(copy.deepcopy(model), backend="aot_eager", fullgraph=True)
    pictures = clips(model)
    logits, compiled_logits = model(*pictures), compiled(*pictures)
    torch.testing.assert_close(compiled_logits, logits)
    logits.sum().backward()
    compiled_logits.sum().backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    for name, parameter in compiled._orig_mod.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name])


@pytest.mark.parametrize("options", [("class", "keep"), ("all", "zero")])
def test_after_s_frames_the_stream_equals_the_clip(options):
    model = vit(
        *("shift_temporal.causal=true", "model.video_segments=4", "shift_temporal.shift_depth=3"),
        *(f"shift_temporal.tokens={options[0]}", f"shift_temporal.edge={options[1]}"),
    )
    video, audio = clips(model, count=1)
    stream = Stream(model, audio)
    results = [stream.push(frame) for frame in video[0]]
    torch.testing.assert_close(results[-1], model(video, audio)[0])


@pytest.mark.parametrize(
    "arch",
    [
        *("vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224", "eva02_tiny_patch14_224"),
        *("vit_tiny_patch16_dinov3_qkvb", "vit_base_patch16_siglip_224", "vit_small_patch16_rope_mixed_224"),
    ],
)
def test_every_family_sees_the_order_of_frames(arch):
    """Without the shift a clip played backwards has the same logits; with it, others. Names stay timm's."""
    size = 28 if "patch14" in arch else 32
    video = torch.rand(1, 3, 3, size, size, generator=torch.manual_seed(0))
    equal = {}
    for status in ("true", "false"):
        tokens = "all" if "siglip" in arch else "class"
        options = (f"model.arch={arch}", f"shift_temporal.status={status}", f"shift_temporal.tokens={tokens}")
        model = build_model(settings(*options, "model.video_segments=3", *sizes(size, audio=0)), 3).eval()
        for name, parameter in model.named_parameters():
            if "gamma" in name:  # new ones are nearly 0
                nn.init.ones_(parameter)
        with torch.no_grad():
            equal[status] = torch.allclose(model(video), model(video.flip(1)), rtol=0, atol=1e-5)
    assert equal == {"true": False, "false": True}
    with torch.device("meta"):
        assert set(model.backbone.state_dict()) == set(timm.create_model(arch, num_classes=0).state_dict())


def test_images_of_other_sizes():
    """timm resizes the position embeddings, those of class and register tokens excepted."""
    model = vit("model.audio_segments=0")
    larger = clips(model, size=64)
    with torch.no_grad():
        found = model(*larger)
        resized = resample_abs_pos_embed(model.backbone.pos_embed, (4, 4), num_prefix_tokens=1)
        assert resized.shape == (1, 17, 64)
        model.backbone.pos_embed = nn.Parameter(resized)
        torch.testing.assert_close(
            found, naive_logits(model, larger, lambda x: shifted_tokens(x, [0], 8, 8, 4, 2, "keep"))
        )
    with pytest.raises(ModelError, match=r"video: got 40 x 40 pixels, expected multiples of the patches of 16 x 16 of"):
        model(*clips(model, size=40))
    with pytest.raises(ModelError, match="output_size: got 72 x 72 pixels, expected multiples of the patches"):
        build_model(settings("model.arch=test_vit", *sizes(72)), 4)


def test_the_description_names_the_tokens():
    with torch.device("meta"):
        model = build_model(settings("model.arch=vit_tiny_patch16_dinov3_qkvb", *sizes(224)), 5)
    lines = describe(model, 224).splitlines()
    assert next(line for line in lines if line.startswith("blocks")).split()[:7] == [
        *("blocks", "(9,", "201,", "192)", "0:", "48/192,", "1:")
    ]
    assert "shift: distances 1 to 2, edge keep, tokens class" in lines
    assert len({name for name, _ in shifts(model.backbone)}) == 12
