"""One file of the log-mel store: the columns of one clip, packed channel by channel, before any resize or cut."""

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from pipelines.audio.log_mel import N_FFT, AudioImage, Columns
from pipelines.audio.mel_packing import PackingError, check_size, pack, unpack
from pipelines.files.atomic import temporary_path
from pipelines.files.tool_command import tool_command

CHANNELS = 2
"""Channels that are stored at most: left and right."""

LARGEST_RATE, LARGEST_SAMPLES = 10**7, 10**12  # a second, and of a channel; beyond is damage

_CHANNEL = "channel{}".format  # name of the array of one channel: uint8, see `mel_packing`
_WINDOW = "window{}".format  # in files of earlier versions, of one window: float16 (channels, n_mels, columns)


class MelError(ValueError):
    """A file of the log-mel store that cannot be used."""


def columns_path(folder: Path, clip_id: str) -> Path:
    """The file of a clip in the store's folder."""
    return folder / f"{clip_id}.safetensors"


@lru_cache(maxsize=8)
def fingerprint(options: AudioImage) -> str:
    """The settings that determine the columns, as readable text."""
    windows, hops = ("/".join(f"{size:g}" for size in sizes) for sizes in (options.window_sizes, options.hop_sizes))
    return f"windows {windows} ms, hops {hops} ms, {options.n_mels} mels, eps {options.eps:g}, n_fft {N_FFT}"


def save_columns(path: Path, columns: Columns | None, settings: str, channels: int = 0) -> None:
    """Write the file of one clip as a whole or not at all.

    Args:
        path: its folder is made.
        columns: what to store; None for a clip without audio.
        settings: the fingerprint of the options that the columns were made with.
        channels: how many different ones the audio has, CHANNELS at most; default: as many as are stored.

    Raises:
        MelError: values are not finite; or it cannot be written, as space or permissions are missing.
    """
    arrays, metadata = {}, {"fingerprint": settings, "silent": "yes"}
    if columns is not None:
        stored = columns.windows[0].shape[0]
        try:
            packed = [pack([window[channel] for window in columns.windows]) for channel in range(stored)]
        except PackingError as error:
            raise MelError(f"{path}: cannot be stored: {error}") from error
        arrays = {_CHANNEL(i): np.frombuffer(channel, np.uint8) for i, channel in enumerate(packed)}
        lengths = " ".join(str(window.shape[-1]) for window in columns.windows)
        metadata |= {"silent": "no", "rate": str(columns.rate), "samples": str(columns.samples)}
        metadata |= {"columns": lengths, "channels": str(max(channels, stored))}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary_path(path) as temporary:
            temporary.write_bytes(save(arrays, metadata))  # safetensors itself would make it unreadable for others
            os.replace(temporary, path)
    except (OSError, SafetensorError) as error:
        raise MelError(f"{path}: cannot be written ({getattr(error, 'strerror', error)})") from error


def load_columns(path: Path, settings: str, channels: int = CHANNELS) -> Columns | None:
    """Read the file of one clip.

    Args:
        path: a file that `save_columns` wrote, of this version or of an earlier one.
        settings: the fingerprint that it must have.
        channels: how many to read at most.

    Returns:
        The columns as float32, of an earlier version as float16, or None for a clip without audio.

    Raises:
        MelError: the file is missing, damaged, made with other settings, or holds fewer channels than wanted of those
            that the audio has.
    """
    remedy = f"run {tool_command('precompute_audio')}"
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            if metadata.get("fingerprint") != settings:
                made_with = metadata.get("fingerprint", "unknown settings")
                raise MelError(f"{path}: made with {made_with}; expected {settings}; {remedy}")
            if metadata["silent"] == "yes":
                return None
            rate, samples = int(metadata["rate"]), int(metadata["samples"])
            if not (0 < rate <= LARGEST_RATE and 0 < samples <= LARGEST_SAMPLES):
                raise MelError(f"{path}: has {samples} samples at {rate} a second; delete it and {remedy}")
            names = set(file.keys())
            if _CHANNEL(0) not in names:
                return Columns(_float16_windows(file, settings, channels), rate, samples)
            wanted = min(channels, CHANNELS, int(metadata["channels"]))
            if wanted > (stored := sum(_CHANNEL(i) in names for i in range(CHANNELS))):
                raise MelError(f"{path}: holds {stored} of {wanted} channels; with model.audio_segments 2 {remedy}")
            lengths = [int(number) for number in metadata["columns"].split()]
            slices = [file.get_slice(_CHANNEL(i)) for i in range(wanted)]
            if any((channel.get_dtype(), len(channel.get_shape())) != ("U8", 1) for channel in slices):
                raise PackingError("holds arrays that are no log-mel columns")
            packed = [channel[:] for channel in slices]
        return Columns(unpacked_columns(packed, lengths, settings), rate, samples)
    except MelError:
        raise
    except FileNotFoundError as error:
        raise MelError(f"{path}: does not exist; {remedy}") from error
    except PackingError as error:
        raise MelError(f"{path}: {error}; delete it and {remedy}") from error
    except (OSError, SafetensorError, KeyError, ValueError) as error:  # KeyError, ValueError: damaged metadata
        raise MelError(f"{path}: is damaged or cannot be read ({error}); delete it and {remedy}") from error


def unpacked_columns(packed: Sequence[np.ndarray], lengths: Sequence[int], settings: str) -> list[np.ndarray]:
    """Of each window float32 (channels, n_mels, columns)."""
    n_mels, number = int(settings.partition(" mels,")[0].split()[-1]), sum(lengths)
    if not packed or len(lengths) != 3 or min(lengths) < 1:
        raise PackingError("holds arrays that are no log-mel columns")
    for channel in packed:
        check_size(channel.size, 2 * n_mels * number)
    columns = np.empty((len(packed), number, n_mels), np.float32)  # each column in one place, as it is resized
    for channel, place in zip(packed, columns, strict=True):
        unpack(channel, place)
    return [window.transpose(0, 2, 1) for window in np.split(columns, np.cumsum(lengths)[:-1], axis=1)]


def _float16_windows(file: Any, settings: str, channels: int) -> list[np.ndarray]:
    """The columns of a file of an earlier version, which held them as they were."""
    stored = [file.get_slice(_WINDOW(i)) for i in range(3)]
    if not _are_columns(stored, settings):
        raise PackingError("holds arrays that are no log-mel columns")
    windows = [window[: min(channels, window.get_shape()[0])] for window in stored]
    if not all(_all_finite(window) for window in windows):
        raise PackingError("holds values that are not finite")
    return windows


def _are_columns(stored: Sequence[Any], settings: str) -> bool:
    """Whether slices of arrays have the type and the sizes of columns that were made with these settings."""
    shapes = [window.get_shape() for window in stored]
    return (
        all(window.get_dtype() == "F16" for window in stored)
        and all(len(shape) == 3 and min(shape) > 0 and f" {shape[1]} mels," in settings for shape in shapes)
        and len({shape[0] for shape in shapes}) == 1
    )


def _all_finite(half: np.ndarray) -> bool:
    """np.isfinite for float16, ten times as fast: only infinities and NaN have all exponent bits set."""
    return not ((half.view(np.uint16) & 0x7C00) == 0x7C00).any()
