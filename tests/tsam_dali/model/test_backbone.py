"""The backbones: where the shift sits, and which settings can be built."""

import pytest
import timm
import torch

from tests.helpers.naive_tsam import naive_shift
from tests.helpers.networks import network, one_thread, randomize, settings  # noqa: F401 (one_thread: a fixture)
from tsam_dali.config.load import ConfigError
from tsam_dali.model import build_model
from tsam_dali.model.backbone import ModelError, shifts


def test_shifts_sit_where_tsam_puts_them():
    model = build_model(settings("model.arch=resnet50_timm", "shift_temporal.n_insert=2"), 4)
    stages = {"layer1": (0, 2), "layer2": (0, 2), "layer3": (0, 2, 4), "layer4": (0, 2)}
    assert [name for name, _ in shifts(model.backbone)] == [
        f"{name}.{i}" for name, places in stages.items() for i in places
    ]
    assert model.backbone.pretrained_cfg["architecture"] == "resnet50"


def test_inverted_residual_blocks_are_shifted_before_their_expansion():
    """Only where there is a shortcut, as in TSM: the first block of a stage changes size and has none."""
    model = network("model.arch=mobilenetv2_050", "shift_temporal.shift_depth=1", "shift_temporal.f_div=8")
    names = [name for name, _ in shifts(model.backbone)]
    assert names == [
        f"blocks.{stage}.{i}" for stage, count in enumerate((1, 2, 3, 4, 3, 3, 1)) for i in range(1, count)
    ]
    block = model.backbone.get_submodule("blocks.3.2")
    block.drop_path.register_forward_hook(lambda _module, _inputs, output: torch.zeros_like(output))
    x = torch.rand(9, 32, 4, 4, dtype=torch.float64)
    assert torch.equal(block(x), x)  # the shortcut is not shifted
    seen = []
    block.conv_pw.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0]))
    block(x)
    assert torch.equal(seen[0], naive_shift(x, 9, 8, 8, 1, "keep"))


def test_regnet_blocks_without_shortcut_are_not_shifted():
    model = build_model(settings("model.arch=regnetz_005"), 4)
    names = [name for name, _ in shifts(model.backbone)]
    blocks = [name for name, module in model.backbone.named_modules() if type(module).__name__ == "Bottleneck"]
    assert set(blocks) - set(names) == {"s1.b1", "s2.b1", "s3.b1", "s4.b1"}


@pytest.mark.parametrize(
    "arch",
    [
        *("resnet10t", "resnet18d", "seresnet18", "resnetv2_18", "resnetv2_50d_gn", "regnetx_002"),
        *("regnety_002", "regnetz_005", "mobilenetv3_small_050", "mobilenetv4_conv_small_035", "efficientnet_b0"),
        *("tf_efficientnetv2_b0", "mixnet_s", "convnext_atto", "resnext50_32x4d"),
    ],
)
def test_every_family_sees_the_order_of_frames(arch):
    """Without the shift a clip played backwards has the same logits; with it, others. Names stay timm's."""
    video = torch.rand(1, 4, 3, 64, 64, generator=torch.manual_seed(0))
    forwards_equals_backwards = {}
    for status in ("true", "false"):
        options = (f"model.arch={arch}", "model.video_segments=4", "model.audio_segments=0")
        config = settings(*options, f"shift_temporal.status={status}")
        model = randomize(build_model(config, 3)).eval()
        with torch.no_grad():
            played, reversed_ = model(video), model(video.flip(1))
        forwards_equals_backwards[status] = torch.allclose(played, reversed_, rtol=1e-4, atol=1e-4)
    assert forwards_equals_backwards == {"true": False, "false": True}
    with torch.device("meta"):
        names = set(timm.create_model(arch, num_classes=0).state_dict())
    assert set(model.backbone.state_dict()) == names


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.arch=resnte50", "did you mean resnet50, "),
        ("model.arch=swin_tiny_patch4_window7_224", "Known: ResNet"),
        ("model.arch=hf_hub:someone/model", "hf_hub:someone/model cannot be read"),
        ("model.pretrain=nonsense", "model.pretrain can be: none, imagenet, "),
        ("model.arch=lcnet_035", "the shift moves no channel"),
        ("shift_temporal.f_div=600", "the shift moves no channel"),
    ],
)
def test_settings_that_cannot_be_built(override, message):
    with pytest.raises((ConfigError, ModelError), match=message):
        build_model(settings(override), 4)


def test_num_segments_of_the_audio_are_segments_of_the_network():
    config = settings("model.audio_segments=2", "data_augmentation.audio_image_param.num_segments=3")
    assert build_model(config, 4).audio_segments == 6
