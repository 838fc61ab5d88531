"""The log-mel columns of one channel as bytes, and back: rounded to 1/256, high bytes apart from low bytes, zstd.

The high bytes, whole logarithms, are much the same in neighbouring bands and columns and compress to a third; the low
bytes not at all. docs/decisions.md compares this with other ways.
"""

import sys
from collections.abc import Sequence

import numpy as np

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

STEPS = 256
"""In a natural logarithm of power; a value changes by half a step at most."""

WIDEST = 2**16 // STEPS - 1
"""Between the lowest and the highest value; logarithms of float32 numbers do not lie so far apart."""

_FLOOR = np.dtype("<f4")  # the lowest value comes first; then all low bytes, then all high bytes
_WRITE: dict[int, int] = {zstd.CompressionParameter.compression_level: 6, zstd.CompressionParameter.checksum_flag: 1}
_READ: dict[int, int] = {zstd.DecompressionParameter.window_log_max: 24}  # 16 MiB; level 6 takes 2
_LARGEST, _MOST_TIMES = 2**28, 1000  # bytes that a file may claim to hold: these, or so many times its own


class PackingError(ValueError):
    """Columns that cannot be packed, or bytes that are no packed columns."""


def pack(windows: Sequence[np.ndarray]) -> bytes:
    """The columns of one channel as bytes.

    Args:
        windows: of each window a float array (n_mels, columns).

    Raises:
        PackingError: a value is not finite, or the values lie further apart than those of audio do.
    """
    columns = np.concatenate(windows, axis=1).T  # so that neighbouring bands lie side by side
    floor = columns.min().astype(np.float32)
    if not columns.max() - floor < WIDEST:
        raise PackingError("holds values that are not finite, or too far apart")
    steps = np.rint((columns - floor) * STEPS).astype(np.uint16, order="C")
    low, high = steps.astype(np.uint8), (steps >> 8).astype(np.uint8)
    unpacked = floor.astype(_FLOOR).tobytes() + low.tobytes() + high.tobytes()
    packed = zstd.compress(unpacked, options=_WRITE)
    return packed if len(packed) < len(unpacked) and _is_believable(len(packed), len(unpacked)) else unpacked


def unpack(packed: np.ndarray, columns: np.ndarray) -> None:
    """Write what was packed into `columns`.

    Args:
        packed: uint8, what `pack` gave.
        columns: float32 (columns of all windows, n_mels).

    Raises:
        PackingError: these are no packed columns of this size.
    """
    unpacked = np.frombuffer(_unpacked(packed, _FLOOR.itemsize + 2 * columns.size), np.uint8)
    floor = unpacked[: _FLOOR.itemsize].view(_FLOOR)[0]
    if not abs(floor) < WIDEST:
        raise PackingError("holds values that are not finite")
    low, high = unpacked[_FLOOR.itemsize :].reshape(2, *columns.shape)
    columns[:] = low
    columns *= np.float32(1 / STEPS)
    columns += high
    columns += floor


def _unpacked(packed: np.ndarray, size: int) -> bytes | np.ndarray:
    if packed.size == size:  # not compressed
        return packed
    decompressor = zstd.ZstdDecompressor(options=_READ)
    try:
        unpacked = decompressor.decompress(packed.data, max_length=size + 1)
    except zstd.ZstdError as error:
        raise PackingError(f"is damaged: {error}") from error
    if len(unpacked) != size or not decompressor.eof or decompressor.unused_data:
        raise PackingError("is damaged: the columns have another size")
    return unpacked


def check_size(packed: int, unpacked: int) -> None:
    """Refuse bytes that claim to hold far more than themselves, before memory is taken for it.

    Raises:
        PackingError: they do.
    """
    if not _is_believable(packed, unpacked):
        raise PackingError(f"claims to hold {unpacked} bytes in {packed}")


def _is_believable(packed: int, unpacked: int) -> bool:
    return unpacked <= max(_LARGEST, _MOST_TIMES * packed)
