"""The clips whose features are computed, and where their audio comes from."""

import logging
import os
from collections.abc import Sequence

from pipelines.audio.from_video import FileAudio
from pipelines.audio.mel_store import MelStore
from pipelines.dataset.clips import Clip
from pipelines.dataset.list_file import SPLITS, read_lists
from pipelines.dataset.load import Loaded, load_data
from pipelines.decode.probe import probe_video
from pipelines.files.storage import is_remote
from pipelines.parallel.sandbox import Fault, Limits, map_limited
from tsam_dali.config.load import Config, change_config

log = logging.getLogger(__name__)
LOOKED_AT = 20
"""Videos of a list that are opened to see whether they have audio."""


def load_listed(config: Config) -> tuple[Loaded, MelStore | FileAudio]:
    """The clips of both lists, and where their audio comes from: from the videos themselves, as in a prediction.

    Audio comes from the log-mel store, as in training, where it is that of .wav files, of pieces of files or of frame
    folders, or lies in an object store; only then the store is checked.

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
            "%s: no log-mel store, so the frames are used alone; for audio make it first: python "
            "tools/precompute_audio.py --data D.json %s",
            *(config.dataset.mels, changes),
        )
        return False
    lists = load_data(without_audio(config), SPLITS).clips.values()
    paths = list(dict.fromkeys(clip.path for clips in lists for clip in _some(clips)))
    found = map_limited(probe_video, paths, len(os.sched_getaffinity(0)), Limits())
    return any(not isinstance(record, Fault) and record.get("audio_rate") for _, record in found)


def _needs_store(config: Config) -> bool:
    dataset = config.dataset
    if config.pipeline.source == "frames" or is_remote(dataset.videos) or os.path.isdir(dataset.audios):
        return True
    lists = (dataset.list_file(split) for split in SPLITS)
    return all(map(os.path.isfile, lists)) and any(entries.ends for entries in read_lists(dataset).values())


def _some(clips: Sequence[Clip]) -> list[Clip]:
    return [clips[row] for row in range(0, len(clips), max(1, len(clips) // LOOKED_AT))]
