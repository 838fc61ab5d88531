"""The data that loaders are measured on - videos, training copies, JPEG frames, audio - and what it took to make it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.harness.linked_dataset import Repeated
from benchmarks.harness.preparation import ROOT, copy, extract, index, precompute, run, size_figure, timed_figure
from pipelines.files.errors import InputError
from tsam_dali.config import load_config
from tsam_dali.config.load import Config

CONFIG = ROOT / "config" / "kinetics400_config.json"
OF_COPIES = ("dataset.dir_videos=copies", "dataset.dir_mels=mels_of_copies")
"""Settings that read the training copies."""

VIDEOS, INDEX, MELS, COPIES = "videos as they are", "index", "log-mel store", "training copies"
JPEGS, WAVS = "JPEG frames, 10 fps, height 256", ".wav files"
"""What is prepared; JPEG frames and .wav files as TSAM extracts them."""


@dataclass(frozen=True)
class Material:
    """Two data sets of the same clips."""

    raw: Path  # data file: videos, copies, and a log-mel store of each
    frames: Path  # data file: JPEG frames, .wav files and a log-mel store
    prepared: Mapping[str, dict[str, Any]]  # what -> figure: time, bytes and files per clip


def make_material(root: Path, videos: Sequence[Path], repeats: int, cores: int) -> Material:
    """Prepare all that the loaders read in the folder `root`, each step timed on `cores` processes."""
    repeated = Repeated([path.stem for path in videos], repeats)
    raw = repeated.make(root / "raw", {"videos": videos})
    frames = repeated.make(root / "frames", {"videos": videos})  # apart: where there are .wav files, they are preferred
    steps = {
        INDEX: (root / "raw" / "index.jsonl", index(raw)),
        MELS: (root / "raw" / "mels", precompute(raw, CONFIG, cores)),
        COPIES: (root / "raw" / "copies", copy(raw, cores, "copies")),
        JPEGS: (root / "frames" / "frames", extract(frames, cores)),
        WAVS: (root / "frames" / "audios", extract(frames, cores, "--audio")),
    }
    prepared = {VIDEOS: size_figure(VIDEOS, videos, len(videos))}
    for what, (result, command) in tqdm(steps.items(), desc="preparing", unit="step"):
        prepared[what] = timed_figure(what, result, len(videos) * repeats, command)
    run(precompute(raw, CONFIG, cores, OF_COPIES))
    run(precompute(frames, CONFIG, cores))
    return Material(raw, frames, prepared)


def check_videos(videos: Sequence[Path], repeats: int, batch_size: int) -> None:
    """Raise InputError unless the clips have names of their own and fill a batch."""
    listed = len(videos) * repeats - 1
    if batch_size > listed:
        raise InputError([f"--batch_size {batch_size}: there are {listed} training ids; choose more --repeats"])
    twice = [name for name, count in Counter(path.stem for path in videos).items() if count > 1]
    if twice:
        raise InputError([f"--data: several videos have the name {name}" for name in twice])


def prefetched(processes: int) -> int:
    """Batches that a loader can have ready or begun when a turn starts: two for each process, and one."""
    return 2 * processes + 1


def kinetics(changes: Mapping[str, Any]) -> Config:
    """The settings of Kinetics-400 with these values; its videos are not read."""
    return load_config(CONFIG.with_name("kinetics400_data.json"), CONFIG, overrides(changes))


def overrides(changes: Mapping[str, Any]) -> list[str]:
    """Values of settings as they are given to --set."""
    return [f"{name}={value}" for name, value in changes.items()]


def loader_settings(segments: int, batch_size: int, cores: int) -> list[str]:
    """Settings of every loader: frames and one segment of audio, on so many processes."""
    sizes = {"model.video_segments": segments, "model.audio_segments": 1, "training_param.batch_size": batch_size}
    return overrides(sizes | {"pipeline.workers": cores})
