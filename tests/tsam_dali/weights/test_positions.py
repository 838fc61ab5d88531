"""Weights of transformers: files of timm load, and position embeddings are resized for the images of the settings."""

import pytest
import safetensors.torch
import timm
import torch
from timm.layers import resample_abs_pos_embed

from tests.helpers.networks import one_thread, settings  # noqa: F401 (one_thread: a fixture)
from tsam_dali.model import build_model
from tsam_dali.weights import load, load_weights
from tsam_dali.weights.load import load_pretrained
from tsam_dali.weights.read import WeightsError

SMALL = (
    "data_augmentation.video_image_param.output_size=96",
    "data_augmentation.audio_image_param.spec_size=[3,96,96]",
)


def file_of(path, arch, **options):
    network = timm.create_model(arch, **options)
    torch.save(network.state_dict(), path)
    return network


@pytest.mark.parametrize("arch", ["vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224", "deit3_small_patch16_224"])
def test_position_embeddings_are_resized_as_timm_does(tmp_path, arch):
    source = file_of(tmp_path / "weights.pth", arch)
    model = build_model(settings(f"model.arch={arch}", *SMALL), 3)
    report = load_weights(model, tmp_path / "weights.pth")
    assert "position embeddings: resized from 14 x 14 patches to 6 x 6" in report.notes
    prefix = {"vit": 1, "deit": 2, "deit3": 0}[arch.partition("_")[0]]
    expected = resample_abs_pos_embed(source.pos_embed, (6, 6), (14, 14), prefix)
    assert torch.equal(model.backbone.pos_embed, expected)
    assert torch.equal(model.backbone.cls_token, source.cls_token)
    classifiers = {"vit": 2, "deit": 4, "deit3": 2}[arch.partition("_")[0]]
    assert len(report.ignored) == classifiers


def test_a_network_without_position_embeddings_takes_images_of_any_size(tmp_path):
    source = file_of(tmp_path / "weights.pth", "vit_tiny_patch16_dinov3_qkvb").eval()
    options = ("model.arch=vit_tiny_patch16_dinov3_qkvb", "shift_temporal.status=false", *SMALL)
    model = build_model(settings(*options), 3).eval()
    load_weights(model, tmp_path / "weights.pth")
    images = torch.rand(2, 3, 96, 96)
    with torch.no_grad():
        torch.testing.assert_close(model.backbone(images), source.forward_head(source.forward_features(images), True))


def test_own_weights_for_images_of_another_size(tmp_path):
    large = build_model(settings("model.arch=test_vit"), 3)
    torch.save(large.state_dict(), tmp_path / "large.pth")
    small = build_model(settings("model.arch=test_vit", *SMALL), 3)
    report = load_weights(small, tmp_path / "large.pth")
    assert report.new == ()
    assert "position embeddings: resized from 4 x 4 patches to 6 x 6" in str(report)
    torch.testing.assert_close(small.head.weight, large.head.weight)


def test_another_size_of_the_network_is_refused(tmp_path):
    file_of(tmp_path / "weights.pth", "vit_tiny_patch16_224", num_classes=0)
    with pytest.raises(WeightsError, match="the file fits vit_tiny_patch16_224: use --set model.arch=vit_tiny"):
        load_weights(build_model(settings("model.arch=vit_small_patch16_224", *SMALL), 3), tmp_path / "weights.pth")


def test_timms_weights_for_images_of_another_size(tmp_path, monkeypatch):
    source = timm.create_model("vit_tiny_patch16_224")
    safetensors.torch.save_file(source.state_dict(), tmp_path / "model.safetensors")
    monkeypatch.setattr(load, "timm_file", lambda _name: str(tmp_path / "model.safetensors"))
    config = settings("model.arch=vit_tiny_patch16_224", "model.pretrain=imagenet", *SMALL)
    model = build_model(config, 3)
    load_pretrained(model, config)
    assert torch.equal(model.backbone.pos_embed, resample_abs_pos_embed(source.pos_embed, (6, 6), (14, 14), 1))
    assert torch.equal(model.backbone.blocks[3].mlp.fc1.weight, source.blocks[3].mlp.fc1.weight)
