"""Small networks with weights and statistics in which every layer matters."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from timm.models.convnext import ConvNeXtBlock
from torch import Tensor, nn

from tsam_dali.config import load_config
from tsam_dali.config.load import Config
from tsam_dali.model import build_model

CONFIG = Path(__file__).resolve().parent.parent.parent / "config"


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Tensors this small gain nothing from threads, which wait for each other where other programs run."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def settings(*overrides: str) -> Config:
    """The example's settings with a ResNet-18, changed by "section.key=value"."""
    return load_config(
        CONFIG / "example_data.json", CONFIG / "example_config.json", ["model.arch=resnet18", *overrides]
    )


def network(*overrides: str, num_class: int = 5, seed: int = 0) -> nn.Module:
    """A network in evaluation, float64, with random weights."""
    return randomize(build_model(settings(*overrides), num_class), seed).double().eval()


def randomize(model: nn.Module, seed: int = 0) -> nn.Module:
    """Draw what new weights leave at 0 and 1; without it, residual branches of a new ResNet add nothing."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            for tensor, low, high in (
                (module.weight, 0.5, 1.5),
                (module.bias, -0.2, 0.2),
                (module.running_mean, -0.2, 0.2),
                (module.running_var, 0.5, 1.5),
            ):
                nn.init.uniform_(tensor, low, high, generator=generator)
        elif isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, generator=generator)
            if module.bias is not None:
                nn.init.uniform_(module.bias, -0.2, 0.2, generator=generator)
        elif isinstance(module, ConvNeXtBlock):
            nn.init.ones_(module.gamma)
    return model


def clips(model: nn.Module, count: int = 2, size: int = 32, seed: int = 0) -> tuple[Tensor, Tensor | None]:
    """Random video (B, S, 3, size, size) and audio (B, A, 3, size, size), float64, for a network."""
    generator = torch.Generator().manual_seed(seed)

    def draw(segments: int) -> Tensor:
        return torch.rand(count, segments, 3, size, size, dtype=torch.float64, generator=generator)

    video = draw(model.video_segments)
    return video, draw(model.audio_segments) if model.audio_segments else None
