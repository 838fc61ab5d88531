"""When the frames of a video are shown."""

from pathlib import Path
from typing import Any

import numpy as np

from pipelines.decode.container import VideoError
from pipelines.decode.probe import probe_video
from pipelines.decode.reader import VideoReader


def probe_times(path: str | Path) -> dict[str, Any]:
    """What `pipelines.decode.probe.probe_video` finds and, if that is ok, `first_frame` and `times`: see
    `frame_times`."""
    record = probe_video(path)
    if record["status"] != "ok":
        return record
    try:
        first_frame, times = frame_times(path, record["frames"], record["fps"])
        return record | {"first_frame": first_frame, "times": times}
    except VideoError as error:
        return {"status": error.status, "reason": str(error)}


def frame_times(path: str | Path, frames: int, fps: float) -> tuple[float | None, np.ndarray]:
    """When the first frame is shown, in seconds on the clock of the file (None: it does not say); and the seconds from
    there to each frame, float64 (frames,), by the mean rate where packets have no times.

    Raises:
        VideoError: `no_times`, or as `VideoReader`.
    """
    with VideoReader(path) as video:
        facts, tick, start = video.demuxed.facts, video.tick, video.stream.start_time
        pts = [pts for i in video.demuxed.shown or () if (pts := facts[i].pts) is not None]
        if len(pts) == frames:
            return float(pts[0] * tick), (np.array(pts) - pts[0]) * float(tick)
        first_frame = None if start is None else float(start * tick)
    if not fps:
        raise VideoError("no_times", f"{path}: neither its packets nor its header tell the time of a frame; convert it")
    return first_frame, np.arange(frames) / fps
