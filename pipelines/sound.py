"""The sound of a file, decoded: .wav through libsndfile, videos through FFmpeg's libraries."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import soundfile

from pipelines.media_files import DEMUXERS
from pipelines.storage import is_remote, open_remote

UNKNOWN_LENGTH = 0x7FFF0000
"""Bytes; a .wav file that claims more was written to a pipe, by a program that could not go back to its head."""


class NoSoundError(ValueError):
    """The file holds no sound at all: no audio stream, or one without samples."""


class SoundError(ValueError):
    """The file, or the sound in it, cannot be read."""


def read_sound(path: str | Path) -> tuple[np.ndarray, int]:
    """Decode the sound of a .wav file or of a video at its own sample rate.

    A video gives the samples that the ffmpeg program extracts from it, before it rounds them to 16 bit: the priming
    samples of AAC are left out, and like there a packet that cannot be decoded is passed over. Only the end may be
    longer, by the less than 1024 samples with which the encoder filled its last frame. A sound whose rate or channels
    change on the way keeps those that it begins with.

    Returns:
        float32 array (channels, samples), at least 1 x 1, full scale at -1 and 1; samples per second.

    Raises:
        NoSoundError: there is no sound in the file, or it is a frame folder.
        SoundError: naming the file and the reason.
    """
    if os.path.isdir(path):
        raise NoSoundError(f"{path}: a frame folder has no sound")
    try:
        sound, rate = _read_wav(path) if _ending(path) == ".wav" else _read_video(path)
    except (av.FFmpegError, soundfile.SoundFileError) as error:
        raise SoundError(f"{path}: the sound cannot be read ({_reason(error)})") from error
    if sound.size == 0:
        raise NoSoundError(f"{path}: has no sound")
    _check_finite(path, sound)
    return sound, rate


def sound_pieces(path: str | Path) -> Iterator[tuple[np.ndarray, int]]:
    """The sound of a video as `read_sound` gives it, piece by piece: (channels, samples) and samples per second; none
    where there is no sound.

    Raises:
        SoundError: naming the file and the reason.
    """
    try:
        for piece, rate in _pieces(Path(path)):
            _check_finite(path, piece)
            yield piece, rate
    except av.FFmpegError as error:
        raise SoundError(f"{path}: the sound cannot be read ({_reason(error)})") from error


def _ending(path: str | Path) -> str:
    return os.path.splitext(path)[1].lower()


def _read_wav(path: str | Path) -> tuple[np.ndarray, int]:
    sound, rate = soundfile.read(path, dtype="float32", always_2d=True)  # (samples, channels)
    if cut := wav_cut_short(path):  # libsndfile gives what is there
        raise SoundError(f"{path}: {cut}; extract it again")
    return np.ascontiguousarray(sound.T), rate


def wav_cut_short(path: str | Path) -> str:
    """What is missing of a .wav file by what its head says of its length; "" where nothing is."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        head, end = file.read(12), 12
        if head[:4] + head[8:] == b"RIFFWAVE":
            while end < size:
                chunk = file.read(8)
                length = int.from_bytes(chunk[4:], "little")
                if chunk[:4] == b"data":
                    end += 8 + (0 if length >= UNKNOWN_LENGTH else length)
                    break
                end += 8 + length + length % 2
                file.seek(end)
    return f"cut short, {size} of at least {end} bytes are there" if end > size else ""


def _open(path: str | Path) -> av.container.InputContainer:
    """Open a video with the demuxer of its ending, so that no other kind of file is read in its place."""
    demuxer = DEMUXERS.get(_ending(path))
    if demuxer is None:
        raise SoundError(f"{path}: unknown ending; expected .wav or a video: {' '.join(DEMUXERS)}")
    if is_remote(path):
        try:
            return av.open(open_remote(path), format=demuxer, metadata_errors="replace")
        except OSError as error:
            raise SoundError(f"{path}: cannot be read ({error})") from error
    if os.path.exists(path) and not os.path.isfile(path):  # opening a FIFO would wait for a writer
        raise SoundError(f"{path}: is a folder, FIFO or device; expected a video file")
    # file: a name like "concat:a" is no protocol. replace: tags need not be UTF-8.
    return av.open(f"file:{os.path.abspath(path)}", format=demuxer, metadata_errors="replace")


def _read_video(path: str | Path) -> tuple[np.ndarray, int]:
    pieces = list(_pieces(path))
    if not pieces:
        return np.empty((0, 0), np.float32), 0
    return np.concatenate([piece for piece, _ in pieces], axis=1), pieces[0][1]


def _pieces(path: str | Path) -> Iterator[tuple[np.ndarray, int]]:
    with _open(path) as container:
        stream = container.streams.best("audio")
        frames = _frames(container, stream) if stream else iter(())
        first = next(frames, None)
        if first is None:
            return
        # Of the frame, not of the container: for some AAC streams the container names half the rate.
        layout, rate = first.layout, first.sample_rate
        for _, run in itertools.groupby(itertools.chain([first], frames), sound_kind):
            resampler = av.AudioResampler(format="fltp", layout=layout, rate=rate)
            for frame in itertools.chain(run, [None]):
                for piece in resampler.resample(frame):
                    yield piece.to_ndarray(), rate


def sound_kind(frame: av.AudioFrame) -> tuple[str, str, int]:
    """What all frames have in common that one resampler can take: sample format, channels, rate."""
    return frame.format.name, frame.layout.name, frame.sample_rate


def _frames(container: av.container.InputContainer, stream: av.AudioStream) -> Iterator[av.AudioFrame]:
    """The frames of all packets that can be decoded; raises the last packet's error if none can."""
    decoded, failure = False, None
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.FFmpegError as error:  # decoders have error numbers of their own
            failure = error
            continue
        decoded = decoded or bool(frames)
        yield from frames
    if failure is not None and not decoded:
        raise failure


def _check_finite(path: str | Path, sound: np.ndarray) -> None:
    if not np.isfinite(sound).all():
        raise SoundError(f"{path}: the sound holds values that are no finite numbers; extract it again")


def _reason(error: Exception) -> str:
    """The words of an error without the path and number that its library puts around them."""
    return getattr(error, "strerror", None) or getattr(error, "error_string", None) or str(error)
