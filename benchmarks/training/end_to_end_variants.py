"""The ways from a data set to training that `benchmarks.training.end_to_end` compares."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import mean
from typing import Any, NamedTuple

from benchmarks.baselines.decoders import DECODERS, OURS
from benchmarks.harness.material import CONFIG, COPIES, INDEX, JPEGS, MELS, OF_COPIES, VIDEOS, WAVS, Material
from benchmarks.loading.readers import Reader, ours, peer, tsam
from benchmarks.training.trainer import ready
from pipelines.dataset.load import load_clips
from pipelines.sampling.plan import training_plan
from tsam_dali.config import load_config


class Way(NamedTuple):
    """One row of the table."""

    make: Callable[..., Reader]  # of benchmarks.loading.readers
    data: str = "raw"  # a field of `Material`
    settings: Sequence[str] = ()
    made: Sequence[str] = ()  # what has to be prepared, by its name in `Material.prepared`
    kept: Sequence[str] = ()  # what lies on the disk while training runs
    needs_gpu: bool = False


TSAM = "TSAM's way: JPEG + wav"
JPEG_OURS = "JPEG frames, ours"
TORCHCODEC, DECORD = "videos, torchcodec", "videos, decord2"
VIDEOS_OURS, COPIES_OURS = "videos, ours", "training copies, ours"
NETWORK = "the network alone"
LONGEST = 100  # epochs of a training

_JPEGS = Way(ours, "frames", ["pipeline.source=frames"], made=(JPEGS, MELS), kept=(JPEGS, MELS))
_VIDEOS = Way(ours, made=(INDEX, MELS), kept=(VIDEOS, INDEX, MELS))
_COPIES = Way(ours, settings=OF_COPIES, made=(COPIES, INDEX, MELS), kept=(COPIES, INDEX, MELS))


def _on_gpu(decode: str, way: Way) -> Way:
    return way._replace(settings=(*way.settings, f"pipeline.decode={decode}"), needs_gpu=True)


WAYS: Mapping[str, Way] = {
    TSAM: Way(tsam, "frames", made=(JPEGS, WAVS), kept=(JPEGS, WAVS)),
    JPEG_OURS: _JPEGS,
    TORCHCODEC: Way(partial(peer, decoder="torchcodec, approximate"), made=(MELS,), kept=(VIDEOS, MELS)),
    DECORD: Way(partial(peer, decoder="decord2"), made=(MELS,), kept=(VIDEOS, MELS)),
    VIDEOS_OURS: _VIDEOS,
    COPIES_OURS: _COPIES,
    "JPEG frames, ours, nvJPEG": _on_gpu("gpu", _JPEGS),
    "training copies, ours, NVDEC": _on_gpu("gpu", _COPIES),
    "training copies, ours, NVDEC, whole files": _on_gpu("gpu_whole", _COPIES),
    NETWORK: Way(ready),
}


def make_reader(name: str, material: Material, settings: Sequence[str], device: str) -> Callable[[], Reader]:
    """What makes the reader of a way, in its own process."""
    way = WAYS[name]
    return partial(way.make, getattr(material, way.data), CONFIG, [*settings, *way.settings], device)


def decoded_frames(name: str, material: Material, settings: Sequence[str]) -> tuple[float, float | None]:
    """Frames of a clip that are wanted, and those that are decoded for them, means over the list's first draws; None
    where the library does not tell."""
    way = WAYS[name]
    config = load_config(getattr(material, way.data), CONFIG, [*settings, *way.settings])
    clips, scores = load_clips(config)["training"], config.data_augmentation
    wanted = []
    for row, clip in enumerate(clips):
        shape = (clip.frames, clip.height, clip.width, config.model.video_segments)
        plan = training_plan(*shape, scores.video_augmentation, scores.audio_augmentation, seed=0, epoch=0, row=row)
        wanted.append((clip.path, tuple(plan.frames.tolist())))
    useful = mean(len(set(frames)) for _, frames in wanted)
    if way.data == "frames":
        return useful, float(config.model.video_segments)
    return useful, DECODERS[OURS]().decoded(wanted) if way.make is ours else None


def cpu_seconds(way: Mapping[str, Any], epochs: int) -> float:
    """What a clip costs from its preparation to so many epochs of loading it, by the figure of a way."""
    return way["preparation_cpu_seconds_per_clip"] + epochs * way["loader_cpu_ms_per_clip"]["median"] / 1000


def compared(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """In how many of 1 to LONGEST epochs one way costs less CPU time than the other; bytes and files by the other's."""
    less = [epochs for epochs in range(1, LONGEST + 1) if cpu_seconds(one, epochs) <= cpu_seconds(other, epochs)]
    return {
        "kind": "comparison",
        "segments": one["segments"],
        "way": one["way"],
        "compared_with": other["way"],
        "least_epochs_with_less_cpu": min(less, default=None),
        "most_epochs_with_less_cpu": max(less, default=None),
        **{
            f"cpu_relative_{epochs}_epochs": round(cpu_seconds(one, epochs) / cpu_seconds(other, epochs), 4)
            for epochs in (1, 10, LONGEST)
        },
        "preparation_cpu_relative": _relative(one, other, "preparation_cpu_seconds_per_clip"),
        "bytes_relative": _relative(one, other, "kilobytes_per_clip"),
        "files_relative": _relative(one, other, "files_per_clip"),
    }


def _relative(one: Mapping[str, Any], other: Mapping[str, Any], key: str) -> float:
    return round(one[key] / other[key], 4)


def kilobytes_read(name: str, prepared: Mapping[str, Mapping[str, float]], segments: int) -> float:
    """What is read for one sample: whole files, and of JPEG frames those that are wanted."""
    found = 0.0
    for part in set(WAYS[name].kept) - {INDEX}:
        share = segments / prepared[part]["files_per_clip"] if part == JPEGS else 1.0
        found += prepared[part]["kilobytes_per_clip"] * min(share, 1.0)
    return round(found, 1)


def total(name: str, what: str, prepared: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """The sums over what a way has `made`, or over what is `kept`, of all numbers per clip."""
    parts = [prepared[part] for part in getattr(WAYS[name], what)]
    keys = [key for key in prepared[MELS] if key.endswith("_per_clip")]
    return {key: round(sum(part.get(key, 0) for part in parts), 4) for key in keys}
