"""Weights as other projects write them, and networks of this one to load them into."""

from pathlib import Path

import numpy as np
import torch
import torchvision
from torch import Tensor, nn

from tests.helpers.networks import randomize, settings
from tsam_dali.model import build_model

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
