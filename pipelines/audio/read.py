"""The audio of a file, decoded: .wav through libsndfile, videos through FFmpeg's libraries."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

import av
import numpy as np
import soundfile

from pipelines.audio.clock import copy_start
from pipelines.audio.decode import AudioError, Piece, audio_stream, decoded_pieces
from pipelines.files.formats import ENDINGS, demuxer_of
from pipelines.files.storage import is_remote, open_remote

UNKNOWN_LENGTH = 0x7FFF0000
"""Bytes; a .wav file that claims more was written to a pipe, by a program that could not go back to its head."""


class NoAudioError(ValueError):
    """The file holds no audio at all: no audio stream, or one without samples."""


def read_audio(path: str | Path) -> tuple[np.ndarray, int]:
    """Decode the audio of a .wav file or of a video at its own sample rate.

    A video gives the samples of the .wav of 16 bit that the ffmpeg program extracts from it: clipped and rounded alike,
    without the priming samples of AAC, and all that was recorded joined, also where it begins late or has gaps
    (`audio_pieces` tells the times). A packet that cannot be decoded is passed over. Audio whose rate or channels
    change on the way keeps those that it begins with. A .wav whose head was never finished is read to its end.

    Returns:
        float32 array (channels, samples), at least 1 x 1, full scale at -1 and 1; samples per second.

    Raises:
        NoAudioError: there is no audio in the file, or it is a frame folder.
        AudioError: naming the file and the reason.
    """
    if os.path.isdir(path):
        raise NoAudioError(f"{path}: a frame folder has no audio")
    try:
        audio, rate = _read_wav(path) if os.path.splitext(path)[1].lower() == ".wav" else _read_video(path)
    except soundfile.SoundFileError as error:
        raise AudioError(f"{path}: the audio cannot be read ({_reason(error)})") from error
    if audio.size == 0:
        raise NoAudioError(f"{path}: has no audio")
    return audio, rate


def audio_pieces(path: str | Path, of_original: bool = False) -> Iterator[Piece]:
    """The audio of a video as `read_audio` gives it, piece by piece, with the times at which it is played; none where
    there is no audio. With `of_original` the times in a training copy are those of its original.

    Raises:
        AudioError: naming the file and the reason.
    """
    with reading(path), open_audio(path) as container:
        stream = audio_stream(path, container)
        later = copy_start(container.metadata) if of_original else 0.0
        for piece in decoded_pieces(container, stream) if stream is not None else ():
            yield piece if piece.time is None else piece._replace(time=piece.time + later)


@contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Raise AudioError, naming the file, where FFmpeg's libraries cannot read it."""
    try:
        yield
    except av.FFmpegError as error:
        raise AudioError(f"{path}: the audio cannot be read ({_reason(error)})") from error


def _read_wav(path: str | Path) -> tuple[np.ndarray, int]:
    audio, rate = soundfile.read(path, dtype="float32", always_2d=True)  # (samples, channels)
    if cut := wav_cut_short(path):  # libsndfile gives what is there
        raise AudioError(f"{path}: {cut}; extract it again")
    if not len(audio):
        audio = _wav_without_size(path, audio)
    if not np.isfinite(audio).all():
        raise AudioError(f"{path}: the audio holds values that are not finite; extract it again")
    return np.ascontiguousarray(audio.T), rate


def wav_cut_short(path: str | Path) -> str:
    """What is missing of a .wav file by what its head says of its length; "" where nothing is."""
    with open(path, "rb") as file:
        start, length = _wav_data(file)
        size = os.fstat(file.fileno()).st_size
    end = start + (0 if length >= UNKNOWN_LENGTH else length)
    return f"cut short, {size} of at least {end} bytes are there" if end > size else ""


def _wav_data(file: BinaryIO) -> tuple[int, int]:
    """Where the samples of a .wav file begin, and how many bytes they take by its head."""
    head, size, start = file.read(12), os.fstat(file.fileno()).st_size, 12
    if head[:4] not in (b"RIFF", b"RIFX", b"RF64") or head[8:] != b"WAVE":
        return 0, 0
    order: Literal["big", "little"] = "big" if head[:4] == b"RIFX" else "little"
    while start < size:
        file.seek(start)
        chunk = file.read(8)
        length = int.from_bytes(chunk[4:], order)
        start += 8
        if chunk[:4] == b"data":
            return start, length
        start += length + length % 2
    return start, 0


def _wav_without_size(path: str | Path, nothing: np.ndarray) -> np.ndarray:
    """The audio of a .wav file whose head speaks of none: `nothing`, or all that follows if its head was never
    finished; (samples, channels).

    Raises:
        AudioError: something follows that is not audio.
    """
    content = bytearray(Path(path).read_bytes())
    with open(path, "rb") as file:
        start, length = _wav_data(file)
    if not start or len(content) <= start or _are_chunks(content[start:]):
        return nothing
    content[start - 4 : start] = b"\xff" * 4  # "unknown": read to the end of the file
    audio = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)[0] if length == 0 else nothing
    if not len(audio):
        found = f"its head speaks of no samples, but {len(content) - start} bytes follow"
        raise AudioError(f"{path}: {found}; extract it again")
    return audio


def _are_chunks(content: bytes | bytearray) -> bool:
    """Whether nothing but whole chunks, such as a title, stands at the end of a .wav file."""
    at = 0
    while at + 8 <= len(content) and content[at : at + 4].isalnum():
        length = int.from_bytes(content[at + 4 : at + 8], "little")
        at += 8 + length + length % 2
    return at == len(content)


def open_audio(path: str | Path) -> av.container.InputContainer:
    """Open a video with the demuxer of its ending, so that no other kind of file is read in its place."""
    demuxer = demuxer_of(path)
    if demuxer is None:
        raise AudioError(f"{path}: unknown ending; expected .wav or a video: {ENDINGS}")
    if is_remote(path):
        try:
            return av.open(open_remote(path), "r", format=demuxer, metadata_errors="replace")
        except OSError as error:
            raise AudioError(f"{path}: cannot be read ({error})") from error
    if os.path.exists(path) and not os.path.isfile(path):  # opening a FIFO would wait for a writer
        raise AudioError(f"{path}: is a folder, FIFO or device; expected a video file")
    # file: a name like "concat:a" is no protocol. replace: tags need not be UTF-8.
    return av.open(f"file:{os.path.abspath(path)}", format=demuxer, metadata_errors="replace")


def _read_video(path: str | Path) -> tuple[np.ndarray, int]:
    pieces = list(audio_pieces(path))
    if not pieces:
        return np.empty((0, 0), np.float32), 0
    return np.concatenate([piece.samples for piece in pieces], axis=1), pieces[0].rate


def _reason(error: Exception) -> str:
    """The words of an error without the path and number that its library puts around them."""
    return getattr(error, "strerror", None) or getattr(error, "error_string", None) or str(error)
