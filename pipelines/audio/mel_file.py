"""One file of the log-mel store: the columns of one clip as float16, before any resize or cut."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from pipelines.audio.log_mel import N_FFT, AudioImage, Columns
from pipelines.files.atomic import temporary_path

CHANNELS = 2
"""Channels that are stored at most: left and right."""

LARGEST_RATE, LARGEST_SAMPLES = 10**7, 10**12  # a second, and of a channel; beyond is damage

_WINDOW = "window{}".format  # name of the array of one window: float16 (channels, n_mels, columns)


class MelError(ValueError):
    """A file of the log-mel store that cannot be used."""


def columns_path(folder: Path, clip_id: str) -> Path:
    """The file of a clip in the store's folder."""
    return folder / f"{clip_id}.safetensors"


def fingerprint(options: AudioImage) -> str:
    """The settings that determine the columns, as readable text."""
    windows, hops = ("/".join(f"{size:g}" for size in sizes) for sizes in (options.window_sizes, options.hop_sizes))
    return f"windows {windows} ms, hops {hops} ms, {options.n_mels} mels, eps {options.eps:g}, n_fft {N_FFT}"


def save_columns(path: Path, columns: Columns | None, settings: str) -> None:
    """Write the file of one clip as a whole or not at all.

    Args:
        path: its folder is made.
        columns: what to store as float16; None for a clip without audio.
        settings: the fingerprint of the options that the columns were made with.

    Raises:
        MelError: it cannot be written, as space or permissions are missing.
    """
    arrays, metadata = {}, {"fingerprint": settings, "silent": "yes"}
    if columns is not None:
        arrays = {_WINDOW(i): window.astype(np.float16) for i, window in enumerate(columns.windows)}
        metadata |= {"silent": "no", "rate": str(columns.rate), "samples": str(columns.samples)}
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
        path: a file that `save_columns` wrote.
        settings: the fingerprint that it must have.
        channels: how many to read at most.

    Returns:
        The columns as float16, or None for a clip without audio.

    Raises:
        MelError: the file is missing, damaged or made with other settings.
    """
    remedy = "run tools/precompute_audio.py"
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            if metadata.get("fingerprint") != settings:
                made_with = metadata.get("fingerprint", "unknown settings")
                raise MelError(f"{path}: made with {made_with}; expected {settings}; {remedy}")
            if metadata["silent"] == "yes":
                return None
            stored = [file.get_slice(_WINDOW(i)) for i in range(3)]
            if not _are_columns(stored, settings):
                raise MelError(f"{path}: holds arrays that are no log-mel columns; delete it and {remedy}")
            windows = [window[: min(channels, window.get_shape()[0])] for window in stored]
            rate, samples = int(metadata["rate"]), int(metadata["samples"])
    except MelError:
        raise
    except FileNotFoundError as error:
        raise MelError(f"{path}: does not exist; {remedy}") from error
    except (OSError, SafetensorError, KeyError, ValueError) as error:  # KeyError, ValueError: damaged metadata
        raise MelError(f"{path}: is damaged or cannot be read ({error}); delete it and {remedy}") from error
    if not (0 < rate <= LARGEST_RATE and 0 < samples <= LARGEST_SAMPLES):
        raise MelError(f"{path}: has {samples} samples at {rate} a second; delete it and {remedy}")
    if not all(_all_finite(window) for window in windows):
        raise MelError(f"{path}: holds values that are not finite; delete it and {remedy}")
    return Columns(windows, rate, samples)


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
