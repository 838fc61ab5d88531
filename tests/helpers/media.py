"""Small videos for tests: every frame carries its number in its pixels, so that a test sees which frame it got."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

ENCODERS = {
    "h264": ("libx264", {"preset": "veryfast", "crf": "20"}),
    "hevc": (
        "libx265",
        {"preset": "ultrafast", "crf": "20", "x265-params": "log-level=none:pools=none:frame-threads=1"},
    ),
    "vp8": ("libvpx", {"deadline": "realtime", "cpu-used": "8", "crf": "10", "b": "2M"}),
    "vp9": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "crf": "20", "b": "0"}),
    "av1": ("libsvtav1", {"preset": "10", "crf": "10", "svtav1-params": "lp=1:enable-tf=0"}),
    "mpeg4": ("mpeg4", {"qscale": "3"}),
    "mjpeg": ("mjpeg", {"qscale": "3"}),
    "mpeg2": ("mpeg2video", {"qscale": "3"}),
}
"""Codec name -> encoder and its options."""

AUDIO_RATE = 48000

ROWS, COLUMNS = 3, 4
"""The picture is a grid of squares, one for each bit of the frame number (the highest at the top left)."""


def write_video(
    path: str | Path,
    frames: int = 40,
    size: tuple[int, int] = (96, 128),
    fps: int = 25,
    codec: str = "h264",
    options: dict[str, str] | None = None,
    *,
    pix_fmt: str = "yuv420p",
    audio: bool = False,
    pts: Sequence[int] | None = None,
    rotation: int = 0,
    first_number: int = 0,
    container_options: dict[str, str] | None = None,
    full_range: bool = False,
) -> Path:
    """Write `frames` numbered pictures of `size` (height, width); the ending of `path` chooses the container.

    options: of the encoder, added to those of ENCODERS. audio: adds a tone, 440 Hz, stereo, 48 kHz.
    pts: time of each frame in ms (growing) instead of i / fps; in MP4 and MOV an edit list hides frames before 0.
    rotation: degrees counter-clockwise by which a player turns the pictures. first_number: that of the first picture.
    """
    path = Path(path)
    encoder, defaults = ENCODERS[codec]
    with _scheduling_kept(), av.open(str(path), "w", options=container_options or {}) as container:
        stream = container.add_stream(encoder, rate=fps, options=defaults | (options or {}))
        stream.height, stream.width = size
        stream.pix_fmt = pix_fmt
        stream.thread_count = 1
        if full_range:
            stream.codec_context.color_range = 2
        if rotation:
            stream.set_display_rotation(rotation)
        if pts is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        tone = _add_audio_stream(container, path.suffix) if audio else None
        reformatter = VideoReformatter()
        for i in range(frames):
            frame = av.VideoFrame.from_ndarray(numbered_picture(first_number + i, size), format="rgb24")
            frame = reformatter.reformat(
                frame, format=pix_fmt, dst_colorspace="ITU601", dst_color_range=2 if full_range else 1, threads=1
            )
            frame.pts = i if pts is None else pts[i]
            frame.time_base = Fraction(1, fps) if pts is None else Fraction(1, 1000)
            frame.pict_type = 0  # let the encoder choose
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if tone is not None:
            _add_tone(container, tone, seconds=frames / fps)
    return path


@contextmanager
def _scheduling_kept() -> Iterator[None]:
    """SVT-AV1, run by root, makes the thread that calls it a real-time one, and so all that this starts later."""
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)


def write_alt_ref_video(path: Path, frames: int = 40, codec: str = "vp9") -> Path:
    """Write a VP8 or VP9 video with pictures that are never shown; libvpx makes such in two passes."""
    source = write_video(path.with_suffix(".source.mp4"), frames, options={"crf": "1"})
    settings = ["-c:v", ENCODERS[codec][0], "-b:v", "300k", "-g", 30, "-auto-alt-ref", 1, "-lag-in-frames", 25]
    settings += ["-cpu-used", 4, "-threads", 1, "-passlogfile", path.with_suffix(".log")]
    ffmpeg("-i", source, *settings, "-pass", 1, "-f", "null", "-")
    ffmpeg("-i", source, *settings, "-pass", 2, path)
    return path


def ffmpeg(*arguments: object) -> None:
    """Run the ffmpeg command, for what PyAV cannot write."""
    import imageio_ffmpeg  # not where only the tests for a GPU run

    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-loglevel", "error", "-y", *map(str, arguments)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def as_ffmpeg_shows_it(path: Path, height: int, width: int) -> np.ndarray:
    """All frames as the ffmpeg command gives them, RGB, uint8 (N, height, width, 3)."""
    raw = path.with_name(f"{path.name}.raw")
    ffmpeg("-i", path, "-fps_mode", "passthrough", "-pix_fmt", "rgb24", "-f", "rawvideo", raw)
    return np.fromfile(raw, np.uint8).reshape(-1, height, width, 3)


def numbered_picture(number: int, size: tuple[int, int] = (96, 128)) -> np.ndarray:
    """RGB picture, uint8 (H, W, 3): the bits of `number` as dark and light squares under a colored moving pattern."""
    height, width = size
    bits = (number >> np.arange(ROWS * COLUMNS)[::-1]) & 1
    squares = bits.reshape(ROWS, COLUMNS)[
        np.arange(height)[:, None] * ROWS // height, np.arange(width) * COLUMNS // width
    ]
    across = np.sin(np.arange(width)[:, None] / 5 + np.array([0.0, 2.0, 4.0]) + number / 3)  # (W, 3)
    down = 24 * np.cos(np.arange(height) / 7 - number / 4)  # (H,)
    pattern = down.astype(np.int16)[:, None, None] * (across * 64).astype(np.int16) // 64  # (H, W, 3)
    return (pattern + (48 + 160 * squares[..., None]).astype(np.int16)).astype(np.uint8)


def frame_numbers(frames: np.ndarray) -> np.ndarray:
    """Numbers carried by pictures (N, H, W, 3) (compressed, scaled, but not cropped or turned): int array (N,)."""
    count, height, width, _ = frames.shape
    if count == 0:
        return np.zeros(0, int)
    middle = np.zeros((count, ROWS, COLUMNS))
    for row in range(ROWS):
        for column in range(COLUMNS):
            top, left = (row + 0.25) * height / ROWS, (column + 0.25) * width / COLUMNS
            square = frames[
                :, int(top) : int(top + height / ROWS / 2) + 1, int(left) : int(left + width / COLUMNS / 2) + 1
            ]
            middle[:, row, column] = square.mean(axis=(1, 2, 3))
    bits = middle.reshape(count, -1) > 128
    return bits @ (1 << np.arange(ROWS * COLUMNS)[::-1])


def _add_audio_stream(container, ending: str):
    encoder = {".webm": "libopus", ".avi": "pcm_s16le"}.get(ending, "aac")
    return container.add_stream(encoder, rate=AUDIO_RATE, layout="stereo")


def _add_tone(container, stream, seconds: float) -> None:
    rate = stream.rate
    time = np.arange(int(seconds * rate)) / rate
    wave = np.tile(0.2 * np.sin(2 * np.pi * 440 * time).astype(np.float32), (2, 1))
    for start in range(0, wave.shape[1], 960):
        samples = np.ascontiguousarray(wave[:, start : start + 960])
        frame = av.AudioFrame.from_ndarray(samples, "fltp", "stereo")
        frame.rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
