"""Exported networks give PyTorch's logits, say what their inputs are, and appear whole or not at all."""

import sys
import warnings

import pytest
import torch

from tests.helpers.checkpoints import checkpoint
from tests.helpers.networks import one_thread  # noqa: F401 (a fixture)
from tsam_dali import export
from tsam_dali.inference.export import formats
from tsam_dali.inference.export.formats import ExportError, read_preprocessing, write_network
from tsam_dali.inference.preprocessing import preprocessing
from tsam_dali.weights.trained import build_trained, network_of, read_trained

NAMES = 'dataset.class_names=["left","right","up","down"]'
SILENT = "model.audio_segments=0"


def parts(path):
    trained = read_trained(path)
    network = network_of(trained, path)
    return network, preprocessing(trained, network)


def call(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["export", *map(str, words)])
    export.main()


@pytest.mark.parametrize(
    "overrides",
    [
        pytest.param((), marks=pytest.mark.slow),
        pytest.param((SILENT, "shift_temporal.edge=zero"), marks=pytest.mark.slow),
        ("shift_temporal.causal=true", "model.normalize=backbone"),
        pytest.param(("model.arch=vit_tiny_patch16_dinov3_qkvb", "shift_temporal.tokens=all"), marks=pytest.mark.slow),
        pytest.param(("model.arch=test_vit", "shift_temporal.edge=zero"), marks=pytest.mark.ci),
    ],
)
def test_pt2_gives_the_logits_and_the_preprocessing(tmp_path, overrides):
    network, about = parts(checkpoint(tmp_path / "checkpoint", NAMES, *overrides))
    path = tmp_path / "out" / "network.pt2"
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing that the exporters warn of reaches a user
        assert write_network(path, network, about) < 1e-4
    assert read_preprocessing(path) == about
    assert about["class_names"] == ["left", "right", "up", "down"]
    assert about["video"]["shape"] == ["batch", 3, 3, 32, 32]
    assert (about["audio"] is None) == (SILENT in overrides)
    pictures = [torch.rand(5, *about[name]["shape"][1:]) for name in ("video", "audio") if about[name]]
    torch.testing.assert_close(torch.export.load(path).module()(*pictures), network(*pictures), rtol=1e-4, atol=1e-4)
    assert [file.name for file in path.parent.iterdir()] == ["network.pt2"]


@pytest.mark.parametrize(
    "overrides",
    [
        pytest.param((SILENT,), marks=pytest.mark.ci),
        pytest.param(("model.arch=test_vit", "shift_temporal.edge=zero"), marks=pytest.mark.slow),
        pytest.param(("model.arch=vit_tiny_patch16_dinov3_qkvb", "shift_temporal.tokens=all"), marks=pytest.mark.slow),
        pytest.param(("shift_temporal.edge=zero", "model.normalize=backbone"), marks=pytest.mark.slow),
        pytest.param((SILENT, "shift_temporal.causal=true"), marks=pytest.mark.slow),
    ],
)
def test_onnx_gives_the_logits_and_the_preprocessing(tmp_path, overrides):
    onnxruntime = pytest.importorskip("onnxruntime")
    network, about = parts(checkpoint(tmp_path / "checkpoint", NAMES, *overrides))
    path = tmp_path / "network.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert write_network(path, network, about) < 1e-4
    assert read_preprocessing(path) == about
    pictures = {name: torch.rand(5, *about[name]["shape"][1:]) for name in ("video", "audio") if about[name]}
    session = onnxruntime.InferenceSession(path)
    assert [(item.name, item.shape[0]) for item in session.get_inputs()] == [(name, "batch") for name in pictures]
    (logits,) = session.run(["logits"], {name: item.numpy() for name, item in pictures.items()})
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(logits), network(*pictures.values()), rtol=1e-4, atol=1e-4)


def test_a_file_that_fails_its_check_is_not_left(tmp_path, monkeypatch):
    network, about = parts(checkpoint(tmp_path / "checkpoint", SILENT))
    wrong = formats.FORMATS[".pt2"]._replace(load=lambda _: lambda pictures: network(*pictures.values()) + 0.01)
    monkeypatch.setitem(formats.FORMATS, ".pt2", wrong)
    folder = tmp_path / "out"
    with pytest.raises(ExportError, match=r"not written, logits of 1 clip differ by 0\.01"):
        write_network(folder / "network.pt2", network, about)
    assert not list(folder.iterdir())


def test_a_missing_package_names_the_extra(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    (tmp_path / "unread").write_bytes(b"PK\3\4")
    with pytest.raises(SystemExit):
        call(monkeypatch, "--checkpoint", tmp_path / "unread", tmp_path / "network.onnx")
    assert "needs the package onnxruntime; install the extra: pip install -e '.[export]'" in capsys.readouterr().err


def test_another_suffix_and_a_damaged_checkpoint(tmp_path, monkeypatch, capsys):
    path = checkpoint(tmp_path / "checkpoint", SILENT)
    path.write_bytes(path.read_bytes()[:-100])
    for name, message in (("network.pth", "ends in .onnx or .xml or .pt2"), ("network.pt2", "damaged")):
        with pytest.raises(SystemExit):
            call(monkeypatch, "--checkpoint", path, tmp_path / name)
        assert message in capsys.readouterr().err
        assert not (tmp_path / name).exists()


def test_foreign_files_are_named(tmp_path):
    path = tmp_path / "network.pt2"
    path.write_bytes(b"nothing")
    with pytest.raises(ExportError, match="cannot be read"):
        read_preprocessing(path)


def test_folder_with_a_model_card(tmp_path, monkeypatch):
    lists = {"training": "320 clips, SHA-256 0123456789abcdef", "validation": "96 clips, SHA-256 fedcba9876543210"}
    settings = (NAMES, "dataset.name=arrows", f"model.weights={tmp_path}/first.pth", "optimizer_param.lr=0.0125")
    path = checkpoint(tmp_path / "checkpoint", *settings, lists=lists)
    call(monkeypatch, "--checkpoint", path, "--safetensors", tmp_path / "shared")
    network, _, names = build_trained(tmp_path / "shared")
    before = build_trained(path)[0].state_dict()
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert names == ("left", "right", "up", "down")
    card = (tmp_path / "shared" / "README.md").read_text()
    for text in ("Data set: arrows", "on 96 validation videos: accuracy 62.5%", "MIT", "3. down", "build_trained("):
        assert text in card
    for text in ("Classes: 4", "List of training: 320 clips", "List of validation: 96 clips", '"lr": 0.0125'):
        assert text in card
    for text in ('tsam_dali.load("this folder").predict("a.mp4")', "tsam_dali.predict --checkpoint", '"first.pth"'):
        assert text in card
    assert "None" not in card
    assert str(tmp_path) not in card
    call(monkeypatch, "--checkpoint", tmp_path / "shared", "--safetensors", tmp_path / "again")
    assert (tmp_path / "again" / "README.md").read_text() == card


def test_the_card_of_imported_weights_says_what_is_not_known(tmp_path, monkeypatch):
    path = checkpoint(tmp_path / "checkpoint", NAMES, "dataset.name=", history=[])
    call(monkeypatch, "--checkpoint", path, "--safetensors", tmp_path / "shared")
    card = (tmp_path / "shared" / "README.md").read_text()
    for text in ("Data set: its settings give it no name", "Not validated.", "Classes: 4\n\n## Scores"):
        assert text in card
