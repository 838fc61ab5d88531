"""Weights from files of every known format; what does not fit is refused, what could run code never runs."""

import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
import torchvision
from torch import Tensor, nn

from tests.naive_tsam import naive_logits, naive_shift, tsm_shift
from tests.networks import clips, network, one_thread, randomize, settings  # noqa: F401 (one_thread: a fixture)
from tests.processes import run
from tsam_dali.checkpoint import save_checkpoint
from tsam_dali.model import build_model
from tsam_dali.weights import WeightsError, load_weights

BLOCKS = "shift_temporal.n_insert, m_insert: the shift of the file's training is"
TSM = ("shift_temporal.f_div=8", "shift_temporal.shift_depth=1", "shift_temporal.edge=zero", "model.normalize=backbone")


class Wrapper(nn.Module):
    """How TSAM and TSM put a shift around a convolution: as a module that holds it under a name."""

    def __init__(self, name: str, layer: nn.Module):
        super().__init__()
        self.add_module(name, layer)


def picture_network(wrapper: str, n_insert: int = 1) -> nn.Module:
    """torchvision's ResNet-18 without classifier, first convolutions wrapped, random weights."""
    model = randomize(torchvision.models.resnet18())
    model.fc = nn.Identity()
    for stage in (model.layer1, model.layer2, model.layer3, model.layer4):
        for i, block in enumerate(stage):
            if i % n_insert == 0 and wrapper:
                block.conv1 = Wrapper(wrapper, block.conv1)
    return model


def prefixed(prefix: str, module: nn.Module) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in module.state_dict().items()}


def tsam_file(path: Path, classes: int = 5, parallel: bool = False) -> nn.Linear:
    """A checkpoint as TSAM writes it: every second block shifted, NumPy numbers in data_state."""
    backbone, head = nn.Module(), nn.Linear(512, classes)
    backbone.base_model, backbone.dropout_last = picture_network("layer", n_insert=2), nn.Dropout()
    prefix = "module." if parallel else ""
    optimizer = torch.optim.SGD(backbone.parameters(), 0.1, momentum=0.9)
    parts = {"nn_input": {}, "nn_backbone": prefixed(prefix, backbone), "last_fc": prefixed(prefix, head)}
    data_state = {"epoch": 3, "best_score balanced": np.float64(0.781)}
    torch.save({"data_state": data_state, "model_state": parts, "optimizer_state_dict": optimizer.state_dict()}, path)
    return head


def tsm_file(path: Path, classes: int = 5) -> nn.Linear:
    """A checkpoint as TSM writes it, in the old file format."""
    head = nn.Linear(512, classes)
    state = prefixed("module.base_model.", picture_network("net")) | prefixed("module.new_fc.", head)
    content = {"epoch": 50, "arch": "resnet18", "state_dict": state, "best_prec1": torch.tensor(70.0)}
    torch.save(content, path, _use_new_zipfile_serialization=False)
    return head


def mmaction_file(path: Path, classes: int = 5) -> nn.Linear:
    """A checkpoint as mmaction2 publishes it: each convolution and its norm in a ConvModule."""
    head, state = nn.Linear(512, classes), {}
    for name, value in picture_network("").state_dict().items():
        *block, layer, last = name.split(".")
        if block and block[-1] == "downsample":
            layer = {"0": "conv", "1": "bn"}[layer]
        elif layer.startswith("conv"):
            layer += ".conv.net" if layer == "conv1" and block else ".conv"
        else:
            layer = f"conv{layer[-1]}.bn"
        state[".".join(["backbone", *block, layer, last])] = value
    state |= {"data_preprocessor.mean": torch.zeros(3, 1, 1)} | prefixed("cls_head.fc_cls.", head)
    torch.save({"meta": {"epoch": 50, "config": "model = dict(type='Recognizer2D')"}, "state_dict": state}, path)
    return head


def video_network(*overrides: str, num_class: int = 5) -> nn.Module:
    return build_model(settings(*overrides), num_class).eval()


def test_tsam_checkpoint_gives_tsams_logits(tmp_path):
    head = tsam_file(tmp_path / "balanced.ckpt.pth.tar")
    model = video_network("shift_temporal.n_insert=2")
    report = load_weights(model, tmp_path / "balanced.ckpt.pth.tar")
    model.double()
    state = prefixed("backbone.", picture_network("")) | prefixed("head.", head)
    pictures = clips(model)
    expected = naive_logits(
        {name: value.double() for name, value in state.items()},
        *pictures,
        lambda x: naive_shift(x, 9, 8, 4, 2, "keep"),
        2,
        0,
    )
    torch.testing.assert_close(model(*pictures), expected)
    assert (report.format, report.new, report.notes) == ("TSAM", (), ())
    assert report.ignored == ("data_state", "optimizer_state_dict", "model_state.nn_input")
    assert set(report.loaded) == set(model.state_dict())


@pytest.mark.parametrize(("write", "name"), [(tsm_file, "TSM"), (mmaction_file, "mmaction2 TSM")])
def test_tsm_checkpoint_gives_tsms_logits(tmp_path, write, name):
    head = write(tmp_path / "tsm.pth")
    model = video_network("model.audio_segments=0", *TSM)
    report = load_weights(model, tmp_path / "tsm.pth")
    model.double()
    state = prefixed("backbone.", picture_network("")) | prefixed("head.", head)
    video, _ = clips(model)
    mean, std = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    expected = naive_logits(
        {name: value.double() for name, value in state.items()},
        (video - mean) / std,
        None,
        lambda x: tsm_shift(x, 8),
        1,
        0,
    )
    torch.testing.assert_close(model(video), expected)
    assert (report.format, report.new, report.notes) == (name, (), ())


def test_tsam_checkpoint_of_several_gpus(tmp_path):
    tsam_file(tmp_path / "parallel.tar", parallel=True)
    tsam_file(tmp_path / "plain.tar")
    several, one = video_network(), video_network()
    assert len(load_weights(several, tmp_path / "parallel.tar").loaded) == len(one.state_dict())
    load_weights(one, tmp_path / "plain.tar")
    torch.testing.assert_close(several.backbone.state_dict(), one.backbone.state_dict())


def test_tsam_checkpoint_written_before_numpy_2(tmp_path):
    tsam_file(tmp_path / "new.tar")
    with zipfile.ZipFile(tmp_path / "new.tar") as new, zipfile.ZipFile(tmp_path / "old.tar", "w") as old:
        for item in new.infolist():
            content = new.read(item)
            if item.filename.endswith("data.pkl"):
                assert b"numpy._core.multiarray" in content
                content = content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
            old.writestr(item.filename, content)
    assert load_weights(video_network(), tmp_path / "old.tar").format == "TSAM"


@pytest.mark.parametrize("form", ["state dict", "miil", "parallel", "safetensors"])
def test_plain_weights_are_those_of_the_picture_network(tmp_path, form):
    pictures = randomize(torchvision.models.resnet18(num_classes=7)).eval()
    state, path = pictures.state_dict(), tmp_path / "weights"
    if form == "safetensors":
        safetensors.torch.save_file(state, path)
    else:
        content = {"miil": {"state_dict": state}, "parallel": {"state_dict": prefixed("module.", pictures)}}
        torch.save(content.get(form, state), path)
    model = video_network("shift_temporal.status=false")
    before = model.head.weight.clone()
    report = load_weights(model, path)
    x = torch.rand(2, 3, 32, 32)
    pictures.fc = nn.Identity()
    torch.testing.assert_close(model.backbone(x), pictures(x))
    assert torch.equal(model.head.weight, before)
    assert report.new == ("head.weight", "head.bias")
    assert set(report.ignored) == {"fc.weight", "fc.bias"}
    assert "head: new, the file has none for clips" in str(report)


def test_timm_classifiers_of_other_families_are_left_out(tmp_path):
    torch.save(timm.create_model("mobilenetv2_035").state_dict(), tmp_path / "weights.pth")
    report = load_weights(video_network("model.arch=mobilenetv2_035"), tmp_path / "weights.pth")
    assert report.ignored == ("classifier.weight", "classifier.bias")


@pytest.mark.parametrize("form", ["checkpoint", "state dict", "safetensors"])
def test_own_weights(tmp_path, form):
    trained, model = network().float(), video_network()
    path = tmp_path / "latest"
    if form == "checkpoint":
        save_checkpoint(path, {"model": trained.state_dict(), "config": settings().to_dict(), "epoch": 3})
    elif form == "safetensors":
        safetensors.torch.save_file(trained.state_dict(), path)
    else:
        torch.save(trained.state_dict(), path)
    report = load_weights(model, path)
    torch.testing.assert_close(model.state_dict(), trained.state_dict())
    assert (report.format, report.new, report.notes) == ("tsam_dali", (), ())


def test_old_files_without_batch_counters_fit(tmp_path):
    state = {key: value for key, value in network().state_dict().items() if not key.endswith("num_batches_tracked")}
    torch.save(state, tmp_path / "old.pth")
    assert len(load_weights(video_network(), tmp_path / "old.pth").loaded) == len(state)


def test_keys_that_are_not_used_are_named(tmp_path):
    for write in (tsm_file, mmaction_file):
        write(tmp_path / "file.pth")
        content = torch.load(tmp_path / "file.pth")
        content["state_dict"]["module.extra" if write is tsm_file else "extra"] = torch.ones(1)
        torch.save(content, tmp_path / "more.pth")
        assert "extra" in load_weights(video_network(), tmp_path / "more.pth").ignored
    torch.save(network().state_dict() | {"extra": torch.ones(1)}, tmp_path / "own.pth")
    assert load_weights(video_network(), tmp_path / "own.pth").ignored == ("extra",)


def test_a_shift_setting_unknown_here_is_a_note(tmp_path):
    config = settings().to_dict()
    config["shift_temporal"]["wrap"] = 3
    save_checkpoint(tmp_path / "newer", {"model": network().state_dict(), "config": config})
    notes = load_weights(video_network(), tmp_path / "newer").notes
    assert notes == ("shift_temporal.wrap is unknown here, the file was trained with 3",)


@pytest.mark.parametrize("arch", ["resnetv2_50", "regnety_016", "convnext_tiny"])
def test_other_families_are_named_in_the_error(tmp_path, arch):
    with torch.device("meta"):
        shapes = timm.create_model(arch, num_classes=0).state_dict()
    torch.save({name: torch.zeros(()).expand(value.shape) for name, value in shapes.items()}, tmp_path / "file.pth")
    assert f"the file fits {arch}" in refused(tmp_path / "file.pth")


def test_another_number_of_classes_keeps_the_new_head(tmp_path):
    tsam_file(tmp_path / "file.tar", classes=400)
    model = video_network()
    before = model.head.weight.clone()
    report = load_weights(model, tmp_path / "file.tar")
    assert torch.equal(model.head.weight, before)
    assert report.new == ("head.weight", "head.bias")
    assert "new, because the file has 400 classes and the network 5" in str(report)


def test_the_head_can_be_left_out(tmp_path):
    head = tsam_file(tmp_path / "file.tar")
    model = video_network()
    report = load_weights(model, tmp_path / "file.tar", head=False)
    assert report.new == ("head.weight", "head.bias")
    assert not torch.equal(model.head.weight, head.weight)


def test_settings_that_differ_are_reported(tmp_path):
    tsm_file(tmp_path / "tsm.pth")
    tsam_file(tmp_path / "tsam.tar")
    save_checkpoint(
        tmp_path / "own", {"model": network().state_dict(), "config": settings("shift_temporal.f_div=2").to_dict()}
    )
    assert load_weights(video_network("shift_temporal.n_insert=2"), tmp_path / "tsm.pth").notes == (
        "model.normalize is 'none', the file was trained with 'backbone'",
        "shift_temporal.f_div is 4, the file was trained with 8",
        "shift_temporal.shift_depth is 2, the file was trained with 1",
        "shift_temporal.edge is 'keep', the file was trained with 'zero'",
        f"{BLOCKS} also in layer1.1, layer2.1, layer3.1, layer4.1",
    )
    assert load_weights(video_network(), tmp_path / "tsam.tar").notes == (
        f"{BLOCKS} not in layer1.1, layer2.1, layer3.1, layer4.1",
    )
    assert load_weights(video_network("shift_temporal.status=false"), tmp_path / "tsam.tar").notes == (
        "shift_temporal.status is false, the file was trained with the shift",
    )
    assert load_weights(video_network(), tmp_path / "own").notes == (
        "shift_temporal.f_div is 4, the file was trained with 2",
    )


def test_files_older_than_the_causal_shift_looked_both_ways(tmp_path):
    tsam_file(tmp_path / "tsam.tar")
    config = settings().to_dict()
    save_checkpoint(tmp_path / "new", {"model": network().state_dict(), "config": config})
    del config["shift_temporal"]["causal"]
    save_checkpoint(tmp_path / "old", {"model": network().state_dict(), "config": config})
    assert load_weights(video_network(), tmp_path / "old").notes == ()
    for name in ("new", "old", "tsam.tar"):
        notes = load_weights(video_network("shift_temporal.causal=true"), tmp_path / name).notes
        assert "shift_temporal.causal is True, the file was trained with False" in notes


@pytest.mark.parametrize("trained", [True, False])
@pytest.mark.parametrize("here", [True, False])
def test_weights_trained_with_and_without_shift(tmp_path, trained, here):
    config = settings(f"shift_temporal.status={str(trained).lower()}")
    save_checkpoint(tmp_path / "own", {"model": network().state_dict(), "config": config.to_dict()})
    notes = load_weights(video_network(f"shift_temporal.status={str(here).lower()}"), tmp_path / "own").notes
    expected = {
        (True, False): ("shift_temporal.status is false, the file was trained with the shift",),
        (False, True): ("shift_temporal.status is true, the file was trained without the shift",),
    }
    assert notes == expected.get((trained, here), ())


def refused(path: Path, model: nn.Module | None = None) -> str:
    """The message of the refusal; the network must be as before."""
    model = model or video_network("model.arch=resnet10t")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(WeightsError) as caught:
        load_weights(model, path)
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
    return str(caught.value)


def test_another_architecture_is_an_error_that_names_it(tmp_path):
    tsam_file(tmp_path / "tsam.tar")
    message = refused(tmp_path / "tsam.tar", video_network("model.arch=resnet34"))
    assert "TSAM weights that do not fit resnet34" in message
    assert "missing in the file (80): layer1.2.conv1.weight, " in message
    assert "the file fits resnet18: use --set model.arch=resnet18" in message
    message = refused(tmp_path / "tsam.tar", video_network("model.arch=resnet50"))
    assert "of another shape" in message
    message = refused(tmp_path / "tsam.tar", video_network("model.arch=resnet10t"))
    assert "unknown to the network" in message


def test_a_single_misfit_is_an_error(tmp_path):
    state = network().state_dict()
    name = "backbone.layer2.0.conv1.weight"
    for change, expected in (
        (
            {name: state[name][:, :-1]},
            "of another shape (1): layer2.0.conv1.weight (128, 63, 3, 3) instead of (128, 64, 3, 3)",
        ),
        ({"backbone.layer2.9.conv1.weight": state[name]}, "unknown to the network (1): layer2.9.conv1.weight"),
    ):
        torch.save(state | change, tmp_path / "changed.pth")
        message = refused(tmp_path / "changed.pth", video_network())
        assert expected in message
        assert "the file fits no common backbone" in message


class Payload:
    """Pickled, it runs a command when it is read."""

    def __init__(self, command: tuple):
        self.command = command

    def __reduce__(self):
        return self.command


@pytest.mark.parametrize("form", ["zip", "legacy", "pickle", "nested"])
@pytest.mark.parametrize("kind", ["system", "eval", "file"])
def test_a_file_that_would_run_code_is_refused_and_nothing_runs(tmp_path, form, kind):
    canary, path = tmp_path / "canary", tmp_path / "weights.pth"
    payload = Payload(
        {
            "system": (os.system, (f"touch {canary}",)),
            "eval": (eval, (f"open({str(canary)!r}, 'w')",)),
            "file": (open, (str(canary), "w")),
        }[kind]
    )
    if form == "pickle":
        path.write_bytes(pickle.dumps(payload, protocol=2))
    elif form == "nested":
        torch.save({"state_dict": {"conv1.weight": torch.ones(3)}, "args": [{"deep": payload}]}, path)
    else:
        torch.save(payload, path, _use_new_zipfile_serialization=form == "zip")
    message = refused(path)
    assert "refused, because it asks for " in message
    assert "nothing of it was run" in message
    assert not canary.exists()
    if form == "pickle":
        pickle.loads(path.read_bytes())
    else:
        torch.load(path, weights_only=False)
    assert canary.exists()  # the same file, read carelessly


def test_damaged_and_foreign_files(tmp_path):
    tsam_file(tmp_path / "whole.tar")
    whole = (tmp_path / "whole.tar").read_bytes()
    safetensors.torch.save_file({"conv1.weight": torch.ones(3)}, tmp_path / "whole.safetensors")
    for content in (
        b"",
        b"text",
        whole[:100],
        whole[: len(whole) // 2],
        (tmp_path / "whole.safetensors").read_bytes()[:-5],
    ):
        (tmp_path / "damaged").write_bytes(content)
        assert "damaged" in refused(tmp_path / "damaged")
    for content, found in (({"epoch": 3}, "epoch"), ([1], "a list"), ({}, "nothing")):
        torch.save(content, tmp_path / "foreign")
        assert f"found {found}, expected a checkpoint" in refused(tmp_path / "foreign")
    assert "cannot be opened" in refused(tmp_path / "missing")
    assert "has no config.json" in refused(tmp_path)


PRETRAINED = """
import sys
from pathlib import Path
import safetensors.torch
import timm
from tests.networks import settings
from tsam_dali.model import build_model
from tsam_dali.weights import WeightsError, load_pretrained

config = settings("model.arch=resnet10t", "model.pretrain=imagenet")
model = build_model(config, 4)
try:
    load_pretrained(model, config)
except WeightsError as error:
    print(error)

folder = Path(sys.argv[1]) / "hub" / "models--timm--resnet10t.c3_in1k"
snapshot = folder / "snapshots" / "0123456789abcdef"
snapshot.mkdir(parents=True)
(folder / "refs").mkdir()
(folder / "refs" / "main").write_text(snapshot.name)
state = timm.create_model("resnet10t").state_dict()
state["layer3.0.conv1.weight"].fill_(0.125)
safetensors.torch.save_file(state, snapshot / "model.safetensors")
print(load_pretrained(model, config))
print(float(model.backbone.layer3[0].conv1.weight.mean()))
"""


def test_timms_weights_come_from_its_cache_or_the_error_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    printed = run("-c", PRETRAINED, tmp_path)
    assert printed.returncode == 0, printed.stderr
    lines = printed.stdout.splitlines()
    assert lines[0].startswith("model.pretrain: timm's weights for resnet10t cannot be had")
    assert lines[1].endswith("--set model.pretrain=none, or use a file with --set model.weights=FILE")
    assert lines[2].startswith("resnet10t: timm weights, ")
    assert lines[3:] == ["  new: head.weight, head.bias", "0.125"]
