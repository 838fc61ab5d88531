"""Weights that do not fit are refused; what could run code never runs."""

import os
import pickle
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
from torch import nn

from tests.helpers.networks import network, one_thread  # noqa: F401 (one_thread: a fixture)
from tests.tsam_dali.weights.weight_files import tsam_file, video_network
from tsam_dali.weights import load_weights
from tsam_dali.weights.checkpoint import save_checkpoint
from tsam_dali.weights.load import WeightsError


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


@pytest.mark.parametrize("arch", ["resnetv2_50", "regnety_016", "convnext_tiny"])
def test_other_families_are_named_in_the_error(tmp_path, arch):
    with torch.device("meta"):
        shapes = timm.create_model(arch, num_classes=0).state_dict()
    torch.save({name: torch.zeros(()).expand(value.shape) for name, value in shapes.items()}, tmp_path / "file.pth")
    assert f"the file fits {arch}" in refused(tmp_path / "file.pth")


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


def test_damage_to_an_own_checkpoint_is_noticed_by_its_digest(tmp_path):
    path = tmp_path / "checkpoint"
    save_checkpoint(path, {"model": network().state_dict()})
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert "damaged, its SHA-256 is not the one in checkpoint.sha256" in refused(path, video_network())


def test_a_head_that_does_not_fit_is_refused_before_anything_is_loaded(tmp_path):
    state = network().float().state_dict()
    weight, bias = state.pop("head.weight"), state.pop("head.bias")
    model = video_network()
    for head, message in (
        ({"weight": weight}, "missing in the file (1): bias"),
        ({"bias": bias}, "missing in the file (1): weight"),
        ({"1.weight": weight, "1.bias": bias}, "unknown to the network (2): 1.weight, 1.bias"),
        ({"weight": weight, "bias": bias, "scale": bias}, "unknown to the network (1): scale"),
        ({"weight": weight[:, :100], "bias": bias}, "of another shape (1): weight (5, 100) instead of (5, 512)"),
        ({"weight": weight[0, 0], "bias": bias}, "of another shape"),
        ({"weight": weight.to_sparse(), "bias": bias}, "no dense floating point numbers (1): weight"),
        ({"weight": weight, "bias": bias * torch.nan}, "infinite or not a number (1): bias"),
    ):
        torch.save(state | {f"head.{name}": value for name, value in head.items()}, tmp_path / "own.pth")
        assert f"the head: {message}" in refused(tmp_path / "own.pth", model)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda value: value * torch.inf, "infinite or not a number (1): conv1.weight"),
        (torch.Tensor.int, "no dense floating point numbers (1): conv1.weight torch.int32"),
    ],
)
def test_weights_that_are_no_finite_numbers_are_refused(tmp_path, change, message):
    state = network().float().state_dict()
    torch.save(state | {"backbone.conv1.weight": change(state["backbone.conv1.weight"])}, tmp_path / "own.pth")
    assert message in refused(tmp_path / "own.pth", video_network())


@pytest.mark.parametrize(
    "content",
    [
        *({"model_state": parts} for parts in (torch.ones(3), ["nn_backbone"], "nn_backbone", {"nn_backbone": None})),
        {1: torch.ones(2)},
        {("a",): torch.ones(2)},
        {"model": {"backbone.a": torch.ones(2)}, "config": "text"},
        {"model": {"backbone.a": torch.ones(2)}, "config": {"model": "text", "shift_temporal": [1]}},
    ],
)
def test_foreign_content_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "foreign")
    refused(tmp_path / "foreign")


def test_a_refusal_never_advises_to_read_carelessly(tmp_path):
    for value in (Namespace(a=1), np.datetime64("2020-01-01"), np.ones(2), torch.nn.Linear(1, 1)):
        torch.save({"state_dict": {}, "args": value}, tmp_path / "file")
        message = refused(tmp_path / "file")
        assert "which could run code" in message
        assert "weights_only" not in message
        assert "safe_globals" not in message
