"""Weights of timm by their names: from its cache, or an error that says what to do."""

from argparse import Namespace

import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from tests.helpers.networks import settings
from tests.helpers.processes import run
from tsam_dali.runs.initial_network import weight_file
from tsam_dali.weights import timm_zoo
from tsam_dali.weights.read import WeightsError

PRETRAINED = """
import sys
from pathlib import Path
import safetensors.torch
import timm
from tests.helpers.networks import settings
from tsam_dali.model import build_model
from tsam_dali.weights.load import load_pretrained
from tsam_dali.weights.read import WeightsError

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
normalizing = settings("model.arch=resnet10t", "model.pretrain=imagenet", "model.normalize=backbone")
print(load_pretrained(model, config).differs, load_pretrained(build_model(normalizing, 4), normalizing).differs)

(snapshot / "model.safetensors").write_bytes(b"nothing")
try:
    load_pretrained(model, config)
except WeightsError as error:
    print(error)
"""


def test_timms_weights_come_from_its_cache_or_the_error_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    printed = run("-c", PRETRAINED, tmp_path)
    assert printed.returncode == 0, printed.stderr
    lines = printed.stdout.splitlines()
    assert lines[0].startswith("model.pretrain: timm's weights for resnet10t are not in this machine's cache")
    assert lines[0].endswith("--set model.pretrain=none, or use a file with --set model.weights=FILE")
    assert lines[1].startswith("resnet10t: timm weights, ")
    assert lines[2:4] == ["  new: head.weight, head.bias", "  head: new, these are weights of images"]
    assert lines[4].startswith(
        "  model.normalize is 'none', but these weights were trained on pixels minus 0.485, 0.456,"
    )
    assert lines[4].endswith("set model.normalize=backbone")
    assert lines[5:7] == ["0.125", "True False"]
    assert "model.safetensors: damaged (" in lines[7]
    assert lines[7].endswith("delete it and fetch it again with --download")


@pytest.mark.parametrize("download", [False, True])
def test_the_hub_is_asked_with_download_alone(monkeypatch, download):
    asked = []

    def fetch(repository, file, local_files_only=False):
        asked.append((repository, file, local_files_only))
        raise LocalEntryNotFoundError("no such file")

    monkeypatch.setattr(timm_zoo, "hf_hub_download", fetch)
    args = Namespace(validate=None, fine_tune=None, resume=None, download=download)
    message = (
        "cannot be fetched" if download else "add --download to fetch .*https://huggingface.co/timm/resnet18.a1_in1k"
    )
    with pytest.raises(WeightsError, match=message):
        weight_file(args, settings("model.pretrain=imagenet"), None)
    assert [local for *_, local in asked] == [True, False][: 1 + download]
