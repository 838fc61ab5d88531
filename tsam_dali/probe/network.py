"""The network whose features are computed, its settings, and its clips, with where their audio comes from.

The network is a trained one, or a backbone with weights of images.
"""

import dataclasses
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from pipelines.audio.from_video import FileAudio
from pipelines.audio.mel_store import MelStore
from pipelines.dataset.clips import Clip
from pipelines.dataset.list_file import SPLITS, read_lists
from pipelines.dataset.load import Loaded, load_data
from pipelines.decode.probe import probe_video
from pipelines.files.storage import is_remote
from pipelines.files.tool_command import tool_command
from pipelines.parallel.processes import cores
from pipelines.parallel.sandbox import Fault, Limits, map_limited
from tsam_dali.config.load import Config, change_config, config_from_dict
from tsam_dali.model import build_model
from tsam_dali.model.precision import on_device
from tsam_dali.model.tsam import TSAM
from tsam_dali.weights.load import load_weights
from tsam_dali.weights.trained import Trained, network_of

log = logging.getLogger(__name__)
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
LOOKED_AT = 20
"""Videos of a list that are opened to see whether they have audio."""


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
        DataError: as `load_listed`.
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


def load_listed(config: Config) -> tuple[Loaded, MelStore | FileAudio]:
    """The clips of both lists, and where their audio comes from: from the videos themselves, as in a prediction.

    Audio comes from the log-mel store, as in training, where it is that of .wav files, of pieces or stretches of
    files or of frame folders, or lies in an object store; only then the store is checked.

    Raises:
        DataError: as `pipelines.dataset.load.load_data`.
        ListError: a list cannot be read.
    """
    options, dataset = config.data_augmentation.audio_image_param, config.dataset
    if _needs_store(config):
        return load_data(config, SPLITS), MelStore(dataset.mels, options)
    return load_data(without_audio(config), SPLITS), FileAudio(options)


def without_audio(config: Config) -> Config:
    """The settings of the same network for frames alone."""
    return change_config(config, overrides=["model.audio_segments=0"])


def audio_is_there(config: Config) -> bool:
    """Whether there is a log-mel store, or one of some videos of each list has audio; errors as of `load_listed`."""
    if _needs_store(config):
        if os.path.isdir(config.dataset.mels):
            return True
        options, section = config.data_augmentation.audio_image_param, "data_augmentation.audio_image_param"
        changes = f"--set {section}.eps={options.eps} --set {section}.n_mels={options.n_mels}"
        log.warning(
            "%s: no log-mel store, so the frames are used alone; for audio make it first: %s --data D.json %s",
            *(config.dataset.mels, tool_command("precompute_audio"), changes),
        )
        return False
    lists = load_data(without_audio(config), SPLITS).clips.values()
    paths = list(dict.fromkeys(clip.path for clips in lists for clip in _some(clips)))
    found = map_limited(probe_video, paths, cores(), Limits())
    return any(not isinstance(record, Fault) and record.get("audio_rate") for _, record in found)


def _needs_store(config: Config) -> bool:
    dataset = config.dataset
    if config.pipeline.source == "frames" or is_remote(dataset.videos) or os.path.isdir(dataset.audios):
        return True
    if config.model.sampling == "dense":  # which takes the audio of a stretch
        return True
    lists = (dataset.list_file(split) for split in SPLITS)
    return all(map(os.path.isfile, lists)) and any(entries.ends for entries in read_lists(dataset).values())


def _some(clips: Sequence[Clip]) -> list[Clip]:
    return [clips[row] for row in range(0, len(clips), max(1, len(clips) // LOOKED_AT))]
