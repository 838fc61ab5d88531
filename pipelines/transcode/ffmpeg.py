"""The ffmpeg program: the one that the package imageio-ffmpeg brings, so that extraction is the same everywhere."""

import errno
import functools
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import ffmpeg
import imageio_ffmpeg


class FfmpegError(ValueError):
    """ffmpeg failed; the text is the first and the last line of its output."""


def ffmpeg_program() -> str:
    """Path of the program; the variable IMAGEIO_FFMPEG_EXE names another one."""
    return imageio_ffmpeg.get_ffmpeg_exe()


@functools.cache
def passthrough() -> dict[str, str]:
    """The option by which every frame is written once, whatever its time: FFmpeg 5.1 gave it a new name."""
    shown = subprocess.run([ffmpeg_program(), "-hide_banner", "-h", "long"], capture_output=True, text=True, check=True)
    return {"fps_mode" if "-fps_mode" in shown.stdout else "vsync": "passthrough"}


def run_ffmpeg(output: Any, folder: str | Path | None = None) -> None:
    """Run a command that ffmpeg-python describes; files that are in its way are overwritten. No shell is involved.

    Args:
        output: what `ffmpeg.output(...)` returns. Name files by absolute paths: a name that begins with a dash would be
            taken for an option.
        folder: working directory of the program.

    Raises:
        FfmpegError: the program failed.
    """
    output = output.global_args("-nostdin", "-hide_banner", "-loglevel", "error")
    command = ffmpeg.compile(output, cmd=ffmpeg_program(), overwrite_output=True)
    done = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    if done.returncode:
        said = [_without_origin(line) for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
        text = "; ".join(dict.fromkeys(said[:1] + said[-1:])) or f"ffmpeg ended with status {done.returncode}"
        raise FfmpegError(text) from _error_of_the_system(said)


def _error_of_the_system(said: list[str]) -> OSError | None:
    """The fault of the disk that ffmpeg names, if any."""
    numbers = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
    found = [number for number in numbers if any(os.strerror(number) in line for line in said)]
    return OSError(found[0], os.strerror(found[0])) if found else None


def _without_origin(line: str) -> str:
    """A line of ffmpeg's output without the component and the address before it."""
    return re.sub(r"^(\[[^]]* @ 0x[0-9a-f]+\] )+", "", line)
