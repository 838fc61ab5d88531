"""What the index keeps of one video file: what it holds, or what is wrong with it."""

import errno
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from pipelines.decode.container import VideoError, open_video, video_stream
from pipelines.decode.decoder import all_pictures
from pipelines.decode.demux import demux
from pipelines.decode.frames import VideoInfo, probe
from pipelines.files.words import counted

Checked = Literal["demuxed", "decoded"]
"""How far a file was looked at: its packets were read, or all of its pictures were decoded, too."""


def probe_video(path: str | Path, checked: Checked = "demuxed") -> dict[str, Any]:
    """Fields of a record: status ("ok" or a named fault); then those of `VideoInfo` if ok, else reason.

    Status: see `VideoError`'s users `open_video`, `video_stream`, `demux`; further `damaged` (as far as a strict
    decoder can tell), `wrong_count` (a decode gives another number of frames than the packets promise) and
    `out_of_memory` (memory is limited, and was refused).
    """
    try:
        info = probe(path)
        if checked == "decoded":
            _decode_all(path, info)
        return {"status": "ok"} | asdict(info)
    except VideoError as error:
        if getattr(error.__cause__, "errno", None) == errno.ENOMEM or isinstance(error.__cause__, MemoryError):
            raise MemoryError from error
        return {"status": error.status, "reason": str(error)}


def _decode_all(path: str | Path, info: VideoInfo) -> None:
    with open_video(path) as container:
        demuxed = demux(path, container, video_stream(path, container))
    count = sum(1 for _ in all_pictures(demuxed))
    if count != info.frames:
        message = f"{path}: its packets promise {counted(info.frames, 'frame')}, "
        message += f"but {count} can be decoded; make a training copy"
        raise VideoError("wrong_count", message)
