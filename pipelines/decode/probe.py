"""What the index keeps of one video file: what it holds, or what is wrong with it."""

import errno
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from pipelines.decode.container import VideoError
from pipelines.decode.frames import video_info
from pipelines.decode.packet_table import Tables, save_table
from pipelines.decode.reader import VideoReader
from pipelines.decode.timestamps import clock, dense_facts, frame_times
from pipelines.files.words import counted

Checked = Literal["demuxed", "decoded"]
"""How far a file was looked at: its packets were read, or all of its frames were decoded, too."""


def probe_video(
    path: str | Path, checked: Checked = "demuxed", tables: Tables | None = None, timed: bool = False
) -> dict[str, Any]:
    """Fields of a record: status ("ok" or a named fault); then those of `VideoInfo` and `dense_facts` if ok, else
    reason. `timed`, as pieces need it, also `clock`, when each frame is shown; with `tables`, too, and the file's table
    is saved.

    Status: see `VideoReader`'s errors; further `damaged` (as far as a strict
    decoder can tell), `wrong_count` (a decode gives another number of frames than the packets promise) and
    `out_of_memory` (memory is limited, and was refused).
    """
    try:
        with VideoReader(path) as video:
            info = video_info(video)
            if checked == "decoded":
                _check_count(video, info.frames)
            times = dense_facts(video, info.frames, info.fps, info.variable_rate)
            if timed or tables is not None:
                times["clock"] = clock(video, info.frames)
            if tables is not None:
                with suppress(OSError):  # where nothing can be written, pieces are read without one
                    save_table(video, Path(tables.of(path)))
        return {"status": "ok"} | asdict(info) | times
    except VideoError as error:
        if getattr(error.__cause__, "errno", None) == errno.ENOMEM or isinstance(error.__cause__, MemoryError):
            raise MemoryError from error
        return {"status": error.status, "reason": str(error)}


def _check_count(video: VideoReader, frames: int) -> None:
    count = sum(1 for _ in video.all_frames())
    if count != frames:
        message = f"{video.path}: its packets promise {counted(frames, 'frame')}, "
        message += f"but {count} can be decoded; make a training copy"
        raise VideoError("wrong_count", message)


def probe_times(path: str | Path) -> dict[str, Any]:
    """What `probe_video` finds and, if that is ok, `first_frame` and `times`: see
    `pipelines.decode.timestamps.frame_times`."""
    record = probe_video(path)
    if record["status"] != "ok":
        return record
    try:
        first_frame, times = frame_times(path, record["frames"], record["fps"])
        return record | {"first_frame": first_frame, "times": times}
    except VideoError as error:
        return {"status": error.status, "reason": str(error)}
