"""`model.arch` torch_hub:FOLDER:ENTRY: a network that a repository makes, as a backbone with its weights."""

import re

import pytest

from tests.helpers.checkpoints import TINY
from tests.helpers.networks import CONFIG
from tests.helpers.processes import called
from tsam_dali import train
from tsam_dali.config.load import ConfigError, load_config
from tsam_dali.model import build_model
from tsam_dali.weights.load import load_weights

HUBCONF = """
from pathlib import Path

Path("was_run").touch()
dependencies = ["torch"]

def torchvision(width=1.0):
    import torch
    import torchvision
    torch.manual_seed(0)
    network = torchvision.models.resnet18()
    network.layer3[0].conv1.weight.data.fill_(width / 8)
    return network

def features():
    import torch
    network = torchvision()
    network.fc = torch.nn.Identity()
    return network

def of_timm():
    import timm
    return timm.create_model("resnet10t")

def other_strides():
    network = torchvision()
    network.layer4[0].conv1.stride = 1, 1
    network.layer4[0].downsample[0].stride = 1, 1
    return network

def own():
    import torch
    return torch.nn.Conv2d(3, 4, 3)

def swin():
    import timm
    return timm.create_model("swin_tiny_patch4_window7_224")

def leaky():
    import timm
    import torch
    return timm.create_model("resnet10t", act_layer=torch.nn.LeakyReLU)

def exits():
    raise SystemExit(3)

def no_network():
    return 7

def fails():
    raise RuntimeError("no such file\\nin the cache")
"""


@pytest.fixture
def checkout(own_folder):
    (own_folder / "re.po").mkdir()
    (own_folder / "re.po/hubconf.py").write_text(HUBCONF)
    return own_folder


def settings(arch, *changes, run_code=True):
    files = CONFIG / "example_data.json", CONFIG / "example_config.json"
    return load_config(
        *files, [*TINY, "model.pretrain=imagenet", f"model.arch=torch_hub:{arch}", *changes], run_code=run_code
    )


@pytest.mark.parametrize(
    ("entry", "name", "expected"),
    [
        ("torchvision", "resnet18", 1 / 8),
        ("torchvision(width=2)", "resnet18", 1 / 4),
        ("features", "resnet18", 1 / 8),
        ("of_timm", "resnet10t", None),
    ],
)
def test_it_becomes_the_backbone_with_its_weights(checkout, entry, name, expected):
    config = settings(f"re.po:{entry}")
    assert config.model.arch == name
    file = rf"weights/re\.po_{entry.partition('(')[0]}_[0-9a-f]{{8}}\.safetensors"
    assert re.fullmatch(file, config.model.weights)
    network = build_model(config, 4)
    load_weights(network, config.model.weights)
    if expected:
        assert network.backbone.layer3[0].conv1.weight.mean().item() == expected
    (checkout / "re.po/hubconf.py").unlink()  # what is trained needs it no more
    build_model(
        load_config(*[CONFIG / f"example_{kind}.json" for kind in ("data", "config")], [f"model.arch={name}"]), 4
    )


def test_its_architecture_alone(checkout):
    assert settings("re.po:torchvision", "model.pretrain=none").model.weights == ""
    assert not (checkout / "weights").exists()


def test_other_arguments_have_other_weights(checkout):
    first, second, again = (settings(f"re.po:torchvision({width})").model.weights for width in (1, 2, 1))
    assert first == again != second
    assert len(list((checkout / "weights").iterdir())) == 2


@pytest.mark.parametrize(
    ("arch", "message"),
    [
        ("re.po:other_strides", "makes no network of timm that takes the shift"),
        ("re.po:own", "makes no network of timm that takes the shift"),
        ("re.po:swin", "set model.weights=FILE"),
        ("re.po:no_network", "makes no network, but: int"),
        ("re.po:fails", "RuntimeError: no such file"),
        ("re.po:exits", "SystemExit: 3"),
        ("re.po:leaky", "makes no network of timm that takes the shift"),
        ("re.po:missing", "re.po/hubconf.py has no function missing"),
        ("re.po:torchvision(width=open('a'))", "(width=open('a')): expected values as Python writes them"),
        ("re.po:torchvision(,)", "(,): expected values as Python writes them"),
        ("pytorch/vision:resnet18", "there is no pytorch/vision/hubconf.py"),
        ("re.po", "expected torch_hub:FOLDER:ENTRY"),
    ],
)
def test_what_cannot_be_one_is_said_in_a_line(checkout, arch, message):
    with pytest.raises(ConfigError) as caught:
        settings(arch)
    (problem,) = caught.value.problems
    assert problem.startswith(f"model.arch: torch_hub:{arch}: ")
    assert message in problem
    assert "\n" not in problem


def test_code_runs_only_where_that_is_allowed(checkout):
    done = called(train.main, "--set", "model.arch=torch_hub:re.po:torchvision")
    assert done.returncode == 2
    assert (
        "runs the code of re.po, which may do anything that you may; read it, then call tsam_dali.train with"
        in done.stderr
    )
    assert not (checkout / "was_run").exists()
