"""Weights from files of every known format: what is loaded gives the logits of the project that wrote the file."""

import zipfile

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
import torchvision
from torch import nn

from pipelines.files.words import counted
from tests.helpers.naive_tsam import naive_logits, naive_shift, tsm_shift
from tests.helpers.networks import clips, network, one_thread, randomize, settings  # noqa: F401 (one_thread: a fixture)
from tests.tsam_dali.weights.weight_files import (
    TSM,
    mmaction_file,
    picture_network,
    prefixed,
    tsam_file,
    tsm_file,
    video_network,
)
from tsam_dali.weights import load_weights
from tsam_dali.weights.checkpoint import save_checkpoint


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


@pytest.mark.parametrize("key", ["state_dict_ema", "model_ema", "model", "model_state_dict", "net"])
def test_weights_under_any_usual_key(tmp_path, key):
    state = torchvision.models.resnet18().state_dict()
    torch.save({key: state | {"version": 3}, "ema": {"decay": 0.9}, "epoch": 3}, tmp_path / "file.pth")
    report = load_weights(video_network(), tmp_path / "file.pth")
    assert report.ignored == ("fc.weight", "fc.bias", "ema", "epoch", f"{key}.version")


def test_an_average_comes_before_what_it_averages(tmp_path):
    averaged = torch.optim.swa_utils.AveragedModel(torchvision.models.resnet18())
    torch.save({"model": averaged.module.state_dict(), "model_ema": averaged.state_dict()}, tmp_path / "file.pth")
    report = load_weights(video_network(), tmp_path / "file.pth")
    assert report.ignored == ("fc.weight", "fc.bias", "model", "model_ema.n_averaged")


@pytest.mark.parametrize("prefix", ["_orig_mod.module.", "module._orig_mod.", "module.module.", "model."])
def test_prefixes_of_wrappers_in_any_order(tmp_path, prefix):
    torch.save(prefixed(prefix, network()), tmp_path / "file.pth")
    assert load_weights(video_network(), tmp_path / "file.pth").format == "tsam_dali"


def test_numpy_numbers_beside_the_weights(tmp_path):
    numbers = {"a": np.bool_(True), "b": np.uint8(1), "c": np.float16(1), "d": np.str_("text")}
    torch.save({"state_dict": network().state_dict(), **numbers}, tmp_path / "file.pth")
    assert load_weights(video_network(), tmp_path / "file.pth").ignored == ("a", "b", "c", "d")


def test_a_shift_setting_unknown_here_is_a_note(tmp_path):
    config = settings().to_dict()
    config["shift_temporal"]["wrap"] = 3
    save_checkpoint(tmp_path / "newer", {"model": network().state_dict(), "config": config})
    notes = load_weights(video_network(), tmp_path / "newer").notes
    assert notes == ("shift_temporal.wrap is unknown here, the file was trained with 3",)


def test_another_number_of_classes_keeps_the_new_head(tmp_path):
    tsam_file(tmp_path / "file.tar", classes=400)
    model = video_network()
    before = model.head.weight.clone()
    report = load_weights(model, tmp_path / "file.tar")
    assert torch.equal(model.head.weight, before)
    assert report.new == ("head.weight", "head.bias")
    assert "new, because the file has 400 classes and the network 5" in str(report)


@pytest.mark.parametrize(
    ("names", "here", "why"),
    [
        ("abcde", "abcde", ""),
        ("abcde", "abxde", "new, because label 2 is 'x' here, but 'c' in the checkpoint"),
        ("abcde", "bacde", "new, because label 0 is 'b' here, but 'a' in the checkpoint"),
        ("abcde", "", ""),
        ("", "abcde", ""),
        (7, "abcde", ""),
    ],
)
def test_other_class_names_keep_the_new_head(tmp_path, names, here, why):
    names = list(names) if isinstance(names, str) else names
    config = settings().to_dict() | {"dataset": {"class_names": names}}
    trained, model = network().float(), video_network()
    before = model.head.weight.clone()
    save_checkpoint(tmp_path / "own", {"model": trained.state_dict(), "config": config})
    report = load_weights(model, tmp_path / "own", class_names=tuple(here))
    assert torch.equal(model.head.weight, before if why else trained.head.weight)
    assert report.notes == ((f"head: {why}",) if why else ())
    known = isinstance(names, list) and names and here
    compared = "of the same names" if known else "(names are not known, and not compared)"
    kept = f"kept, the file has {counted(len(before), 'class', 'classes')} {compared}"
    assert report.head == ("" if why else kept)
    assert (f"  head: {kept}" in str(report).splitlines()) == (not why)


def test_the_head_can_be_left_out(tmp_path):
    head = tsam_file(tmp_path / "file.tar")
    model = video_network()
    report = load_weights(model, tmp_path / "file.tar", head=False)
    assert report.new == ("head.weight", "head.bias")
    assert not torch.equal(model.head.weight, head.weight)
