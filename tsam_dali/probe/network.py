"""The network whose features are computed, and its settings: a trained one, or a backbone with weights of images."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from tsam_dali.config.load import Config, change_config, config_from_dict
from tsam_dali.model import build_model
from tsam_dali.model.precision import on_device
from tsam_dali.model.tsam import TSAM
from tsam_dali.probe.clips import audio_is_there, without_audio
from tsam_dali.weights.load import load_weights
from tsam_dali.weights.trained import Trained, network_of

EXACT = ("training_param.amp=off", "training_param.compile=false", "pipeline.max_bad_fraction=1")
"""Features are those of float32: a network made from a probe gives its probabilities. Unreadable clips are named."""
FOR_IMAGES: dict[str, Any] = {
    "model": {"pretrain": "none", "normalize": "backbone", "audio_segments": 1},
    "shift_temporal": {"status": False},
    "data_augmentation": {"audio_image_param": {"eps": 1.0, "num_segments": 4, "m_segments": 2}},
}
"""Settings of a backbone with weights of images. The logarithm of power + 1 has values that such weights can use: with
the default, silence is -13.8; and pieces of the audio say when something happens, which one spectrogram blurs."""
SIZE, SPECTROGRAM = "data_augmentation.video_image_param.output_size", "data_augmentation.audio_image_param.spec_size"


def trained_settings(trained: Trained, data: str | Path, changes: Sequence[str] = ()) -> Config:
    """The settings of a trained network with other data, whatever their classes; raises ConfigError."""
    return change_config(trained.config, data, (*EXACT, *changes))


def image_settings(arch: str, weights: str | Path, data: str | Path, changes: Sequence[str] = ()) -> Config:
    """The settings of a backbone with weights of images, for any data.

    Raises:
        ConfigError: with every problem found.
    """
    config = config_from_dict({"dataset": {"data_dir": ""}, **FOR_IMAGES})
    given = dict(change.partition("=")[::2] for change in changes)
    if SIZE in given and SPECTROGRAM not in given:  # both go through the same backbone
        changes = [*changes, f"{SPECTROGRAM}=[3,{given[SIZE]},{given[SIZE]}]"]
    return change_config(config, data, (*EXACT, f"model.arch={arch}", f"model.weights={weights}", *changes))


def with_audio_if_any(config: Config, changes: Sequence[str]) -> Config:
    """The settings without audio segments where the clips have no audio, unless the changes ask for them.

    Raises:
        DataError: as `tsam_dali.probe.clips.load_listed`.
    """
    asked = any(change.startswith("model.audio_segments=") for change in changes)
    return config if asked or audio_is_there(config) else without_audio(config)


def image_network(config: Config, device: str | torch.device = "cpu") -> TSAM:
    """The network of `image_settings` in evaluation mode, its last layer untrained.

    Raises:
        WeightsError: the weights do not fit, or cannot be read.
    """
    network = build_model(config, 1)
    load_weights(network, config.model.weights, head=False)
    return on_device(network, device, config.training_param).eval()


def trained_network(trained: Trained, path: str | Path, config: Config, device: str | torch.device = "cpu") -> TSAM:
    """The network of `trained_settings` in evaluation mode; `path` is that of the checkpoint.

    Raises:
        CheckpointError: its weights do not fit the settings.
    """
    names = dataclasses.replace(trained, config=config)
    return network_of(names, path, device)
