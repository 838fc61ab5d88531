"""Grad-CAM: what it must be where it can be computed by hand, and that it points to what the class depends on."""

import json

import pytest
import torch
from PIL import Image

import tsam_dali
from tests.helpers.checkpoints import checkpoint
from tests.helpers.media import write_video
from tests.helpers.networks import network, one_thread  # noqa: F401 (a fixture)
from tsam_dali.inference.grad_cam import explain
from tsam_dali.inference.plots import draw_explanation
from tsam_dali.inference.predictor import Predictor
from tsam_dali.predict import main
from tsam_dali.weights.checkpoint import load_checkpoint, save_checkpoint

PLAIN = ("shift_temporal.status=false", "model.video_segments=2", "model.audio_segments=1")


def features(model, pictures):
    """The last stage's maps (N, F, h, w)."""
    return model.backbone.forward_features(pictures)


def test_a_mean_and_a_linear_layer_are_explained_by_their_weights():
    """Here Grad-CAM is Zhou's class activation map: the weights of the class times the features, where positive."""
    model = network(*PLAIN, num_class=3)
    pictures = torch.rand(3, 3, 128, 128, dtype=torch.float64, generator=torch.manual_seed(0))
    found = explain(model, pictures[:2], pictures[2:], 1)
    with torch.no_grad():
        maps = torch.einsum("f,nfhw->nhw", model.head.weight[1], features(model, pictures)).relu()
    expected = torch.nn.functional.interpolate(maps[None], (128, 128), mode="bilinear")[0]
    assert torch.allclose(found.video.double(), expected[:2] / expected[:2].max(), atol=1e-5)
    assert torch.allclose(found.audio.double(), expected[2:] / expected[2:].max(), atol=1e-5)
    assert torch.allclose(found.share.double(), expected.sum((1, 2)) / expected.sum(), atol=1e-5)


class Colors(torch.nn.Module):
    """Stands for a backbone: features are the mean red, green and blue, their maps have squares of 8 pixels."""

    feature_info = ({"module": "maps", "reduction": 8},)

    def __init__(self):
        super().__init__()
        self.maps = torch.nn.Conv2d(3, 3, 8, stride=8, groups=3, bias=False)
        torch.nn.init.constant_(self.maps.weight, 1 / 64)

    def forward(self, pictures):
        return self.maps(pictures).mean((2, 3))


@pytest.mark.parametrize(("label", "segment", "corner"), [(0, 0, (0, 1)), (1, 1, (1, 0)), (2, 2, (1, 1))])
def test_the_map_lights_up_where_the_class_is(label, segment, corner):
    """A red square in a corner of frame 1, a green one in frame 2, a blue one in the audio; a class for each color."""
    model = network(*PLAIN, num_class=3)
    model.backbone, model.head = Colors().double(), torch.nn.Linear(3, 3).double()
    with torch.no_grad():
        model.head.weight.copy_(torch.eye(3) - 0.1)
    pictures = torch.zeros(3, 3, 64, 64, dtype=torch.float64)
    pictures[0, 0, :32, 32:] = pictures[1, 1, 32:, :32] = pictures[2, 2, 32:, 32:] = 1
    found = explain(model, pictures[:2], pictures[2:], label)
    maps = torch.cat([found.video, found.audio])
    assert found.share.tolist() == pytest.approx([float(place == segment) for place in range(3)])
    y, x = corner
    inside = maps[segment, 32 * y : 32 * y + 32, 32 * x : 32 * x + 32]
    assert inside.sum() / maps.sum() > 0.85  # enlarged smoothly, it reaches a little beyond its edges
    assert inside[8:24, 8:24].min() == pytest.approx(1)


def test_no_evidence_gives_zeros_and_small_images_take_an_earlier_stage():
    model = network(*PLAIN, num_class=2)
    pictures = torch.rand(3, 3, 32, 32, dtype=torch.float64, generator=torch.manual_seed(0))
    sizes = []
    handle = model.backbone.layer2.register_forward_hook(lambda _module, _inputs, out: sizes.append(out.shape[-2:]))
    assert explain(model, pictures[:2], pictures[2:], 0).video.max() == pytest.approx(1)
    assert sizes[0] == (4, 4)
    handle.remove()
    with torch.no_grad():
        model.head.weight.zero_()
    found = explain(model, pictures[:2], pictures[2:], 0)
    assert (found.video.max(), found.audio.max(), found.share.max()) == (0, 0, 0)
    assert found.is_empty


FAMILIES = [
    "resnetv2_18",
    "regnety_002",
    "efficientnet_b0",
    "mobilenetv3_small_100",
    "test_vit",
    "vit_tiny_patch16_dinov3_qkvb",
]


@pytest.mark.parametrize("arch", FAMILIES)
def test_other_families(arch):
    model = network(f"model.arch={arch}", "model.video_segments=2", "model.audio_segments=0")
    found = explain(model, torch.rand(2, 3, 64, 64, dtype=torch.float64), None, 0)
    assert (found.video.shape, found.audio) == ((2, 64, 64), None)


def test_the_map_of_a_transformer_is_that_of_its_patches():
    """One block, average of the patches: the logit is the sum over patches, and each has its part of it."""
    model = network("model.arch=test_vit2", *PLAIN, num_class=2)
    model.backbone.blocks = model.backbone.blocks[:1]
    block, pictures = model.backbone.blocks[0], torch.rand(3, 3, 64, 64, dtype=torch.float64)
    torch.nn.init.zeros_(block.attn.qkv.weight[: 2 * 64])  # attention is the mean of the values
    seen = {}
    block.norm1.register_forward_hook(lambda _module, _inputs, output: seen.update(x=output))
    logit = model(pictures[None, :2], pictures[None, 2:])[0, 1]
    (gradient,) = torch.autograd.grad(logit, seen["x"])
    maps = (gradient * seen["x"])[:, 1:].sum(2).relu().unflatten(1, (1, 4, 4))
    expected = torch.nn.functional.interpolate(maps.detach(), (64, 64), mode="bilinear")[:, 0]
    found = explain(model, pictures[:2], pictures[2:], 1)
    assert torch.allclose(found.video.double(), expected[:2] / expected[:2].max(), atol=1e-5)


@pytest.mark.ci
def test_the_command_draws_each_file(tmp_path, monkeypatch, capsys):
    file = checkpoint(tmp_path / "latest", "pipeline.workers=0")
    video = write_video(tmp_path / "a.mp4", 10, audio=True)
    arguments = ["predict", "--checkpoint", str(file), str(video), "--explain", str(tmp_path / "maps")]
    monkeypatch.setattr("sys.argv", [*arguments, "--device", "cpu"])
    main()
    assert json.loads(capsys.readouterr().out)["classes"]
    assert Image.open(tmp_path / "maps/0001_a.png").width == 1560
    predictor = tsam_dali.load(file)
    (seen,) = predictor.predict_all([video])
    found = predictor.explain(seen)
    assert found.label == seen.prediction.classes[0].label
    assert (found.video.shape, found.audio.shape) == ((3, 32, 32), (1, 32, 32))
    (narrow,) = predictor.predict_all([video], topk=1)
    for label in range(4):  # also those that the prediction does not name
        figure = draw_explanation(
            narrow, predictor.explain(narrow, label), predictor.class_names, tmp_path / f"{label}.png"
        )
        probability = seen.probabilities[label]
        name = predictor.class_names[label]
        assert figure.get_suptitle() == f"a.mp4: evidence for {name!r} ({probability:.1%})"
        assert "Heat: what raises the logit of the class (Grad-CAM)" in figure.get_supxlabel()
        labels = [axes.get_ylabel() for axes in figure.axes]
        for part in ("frames", "audio"):
            assert f"heat: 0 is transparent, 1 the\nstrongest place of the {part}" in labels
    for label in (-1, 4):
        with pytest.raises(ValueError, match="expected 0 to 3"):
            predictor.explain(seen, label)


def test_the_command_explains_what_is_named(tmp_path, monkeypatch, capsys):
    file = checkpoint(tmp_path / "latest", "pipeline.workers=0")
    video, names = write_video(tmp_path / "a.mp4", 10), tsam_dali.load(file).class_names
    asked, explain_any = [], Predictor.explain
    monkeypatch.setattr(Predictor, "explain", lambda *words: asked.append(words[2]) or explain_any(*words))
    arguments = ["predict", "--checkpoint", str(file), str(video), "--device", "cpu", "--explain_name", names[2]]
    monkeypatch.setattr("sys.argv", [*arguments, "--explain", str(tmp_path / "maps")])
    main()
    assert asked == [2]
    assert (tmp_path / "maps/0001_a.png").exists()
    monkeypatch.setattr("sys.argv", [*arguments[:-1], "none", "--explain", str(tmp_path / "maps")])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert f"there is no class 'none'; expected one of {', '.join(names)}" in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", arguments)
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "--explain_name needs --explain DIR" in capsys.readouterr().err


def test_a_map_that_is_empty_is_said_to_be(tmp_path, monkeypatch, capsys):
    """A last layer of zeros: nothing raises any logit."""
    file = checkpoint(tmp_path / "latest", "pipeline.workers=0")
    state = load_checkpoint(file)
    for name in ("head.weight", "head.bias"):
        state["model"][name].zero_()
    save_checkpoint(file, state)
    video = write_video(tmp_path / "a.mp4", 10, audio=True)
    arguments = ["predict", "--checkpoint", str(file), str(video), "--explain", str(tmp_path / "maps")]
    monkeypatch.setattr("sys.argv", [*arguments, "--device", "cpu"])
    main()
    said = capsys.readouterr()
    name = json.loads(said.out)["classes"][0]["name"]
    assert f"a.mp4: no evidence for {name!r}, its map is empty" in said.err
    predictor = tsam_dali.load(file)
    (seen,) = predictor.predict_all([video])
    figure = draw_explanation(seen, predictor.explain(seen), predictor.class_names, tmp_path / "empty.png")
    assert figure.get_suptitle() == f"a.mp4: no evidence for {name!r} (25.0%)"
    assert "Grad-CAM is zero everywhere" in figure.get_supxlabel()
    assert not [axes.get_title() for axes in figure.axes if "%" in axes.get_title()]
