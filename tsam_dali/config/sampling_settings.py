"""What settings of dense sampling need each other."""

from collections.abc import Iterator
from typing import Literal

from pipelines.dataset.clips import Dataset
from tsam_dali.config.sections import Model


def sampling_problems(model: Model, dataset: Dataset, source: Literal["video", "frames"]) -> Iterator[str]:
    """Settings of `FrameSampling` that do not go together, and what extracted frames lack for them."""
    lengths = {"clip_seconds": model.clip_seconds, "stride": model.stride, "target_fps": model.target_fps}
    given = [name for name, value in lengths.items() if value is not None]
    if model.sampling == "segments":
        for name in given:
            yield f"model.{name}: has no meaning for model.sampling segments; choose dense, or leave it out"
        return
    if model.clip_seconds is None and model.stride is None:
        yield "model.sampling: dense needs the length of its stretch; give model.clip_seconds or model.stride"
        return
    if model.clip_seconds is not None:
        for name in given[1:]:
            yield f"model.{name}: model.clip_seconds says already how long a stretch is; leave out one of them"
    if source == "frames" and dataset.frames_fps is None and (model.in_seconds or model.audio_segments):
        why = "counts in seconds" if model.in_seconds else "takes the audio of the same seconds"
        yield f"dataset.frames_fps: missing; model.sampling dense {why}, and JPEG frames do not tell how many make one"
