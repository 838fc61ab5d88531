"""Weights of timm by their names: from its cache, or an error that says what to do."""

from tests.processes import run

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
