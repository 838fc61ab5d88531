"""Checkpoints as the trainer writes them, of tiny networks that were not trained."""

from pathlib import Path

import torch

from tests.helpers.networks import randomize, settings
from tsam_dali.config.load import Config
from tsam_dali.model import build_model
from tsam_dali.weights.checkpoint import save_checkpoint

TINY = (
    *("model.arch=resnet10t", "model.video_segments=3", "data_augmentation.video_image_param.output_size=32"),
    *("data_augmentation.audio_image_param.spec_size=[3,32,32]", "data_augmentation.audio_image_param.n_mels=32"),
    "training_param.amp=off",  # the same numbers on every CPU
)
SCORES = {"loss": 0.75, "accuracy": 0.625, "balanced_accuracy": 0.6125, "samples": 96}
HISTORY = [
    {"epoch": 0, "training": SCORES | {"samples": 320}, "validation": SCORES | {"accuracy": 0.25}},
    {"epoch": 1, "training": SCORES | {"samples": 320}, "validation": SCORES},
]


def checkpoint(path: Path, *overrides: str, num_class: int = 4, **more: object) -> Path:
    """Write the checkpoint of a network with random weights after two epochs; `more` adds or replaces its keys."""
    config: Config = settings(*TINY, *overrides)
    network = randomize(build_model(config, num_class))
    state = {"model": network.state_dict(), "config": config.to_dict(), "history": HISTORY}
    save_checkpoint(path, state | {"best": {"balanced": 0.6125, "unbalanced": 0.625}, "optimizer": {}} | more)
    return path


def pictures(config: Config, count: int = 2, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Random video (B, S, 3, H, W) and audio (B, A, 3, H, W) or None, float32, for a configuration."""
    generator = torch.Generator().manual_seed(seed)
    size = config.data_augmentation.video_image_param.output_size

    def draw(segments: int) -> torch.Tensor:
        return torch.rand(count, segments, 3, size, size, generator=generator)

    return draw(config.model.video_segments), draw(config.num_spectrograms) if config.num_spectrograms else None
