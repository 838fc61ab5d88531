"""Data sets of real videos as the trainer takes them: links, lists, training copies, audio, clips played backwards."""

import json
import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import av
import ffmpeg
import joblib

from benchmarks.harness.preparation import copy, precompute, run
from pipelines.dataset.clips import Clip
from pipelines.dataset.list_file import SPLITS
from pipelines.dataset.load import load_data
from pipelines.files.atomic import temporary_path
from pipelines.files.errors import InputError
from pipelines.transcode.ffmpeg import run_ffmpeg
from tsam_dali.config import load_config

COPIES, SQUARES = "copies", "squares"
"""Folders beside `videos`: of the training copies, and of what they are made from where frames are cut."""
SHORT_SIDE = 192  # of the training copies, in pixels
FRAMES, ORDER, AUDIO = "frames", "order", "audio"
"""Kinds of sets: clips without audio; the same clips forwards and backwards; clips with audio."""
DIRECTIONS = ("backwards", "forwards")


class RealSet(NamedTuple):
    """A data set that can be trained on."""

    name: str
    kind: str
    data: Path  # its data file
    class_names: Sequence[str]  # of the data file; empty: numbers


def make_sets(folders: Iterable[Path], work: Path) -> list[RealSet]:
    """The sets of these folders, made in `work`: clips with audio as they are; of those without, the square in the
    middle of the frames, which is what the validation sees, and the squares forwards and backwards.

    A random crop of a wide frame often misses what is in the middle, and a watermark in a corner can tell the class.
    Nothing is written beside the originals.

    Raises:
        InputError: a folder holds no lists, or something is wrong with its lists or videos.
    """
    found = []
    for folder in folders:
        root = work / folder.name
        clips = _linked(folder, root)
        if _has_audio(clips["training"][0].path):
            found.append(_described(root, AUDIO, _folders_of_classes(clips)))
        else:
            _encode(
                (clip.path, root / SQUARES / f"{clip.id}.mp4", False) for members in clips.values() for clip in members
            )
            found.append(_described(root, FRAMES, _folders_of_classes(clips), SQUARES))
            found.append(_both_directions(clips, work / f"{folder.name}_{ORDER}"))
    return found


def prepare(real_set: RealSet, config: Path, settings: Sequence[str], workers: int) -> None:
    """Make training copies, and the log-mel store for `settings`; what is there stays. The store is that of the
    originals, which holds for their copies, too."""
    run([*copy(real_set.data, workers, COPIES), "--short_side", str(SHORT_SIDE)])
    if real_set.kind == AUDIO:
        run(precompute(real_set.data, config, workers, [*settings, "dataset.dir_videos=videos"]))


def _linked(folder: Path, root: Path) -> Mapping[str, Sequence[Clip]]:
    """The clips of both lists of a folder, in a data set of links."""
    root.mkdir(parents=True, exist_ok=True)
    for split in SPLITS:
        source = folder / f"{split}.txt"
        if not source.is_file():
            raise InputError([f"--data {folder}: has no {source.name}; expected training.txt, validation.txt, videos/"])
        shutil.copyfile(source, root / source.name)
    if not (root / "videos").is_symlink():
        (root / "videos").symlink_to((folder / "videos").resolve())
    data = _described(root, "", ()).data
    return load_data(load_config(data, data, ["model.audio_segments=0"]), SPLITS).clips


def _both_directions(clips: Mapping[str, Sequence[Clip]], root: Path) -> RealSet:
    """Each clip forwards and backwards, both encoded anew, so that nothing but the order of the frames differs."""
    jobs, lines = [], defaultdict(list)
    for split, members in clips.items():
        for clip in members:
            for label, direction in enumerate(DIRECTIONS):
                target = root / "videos" / direction / f"{clip.id}.mp4"
                lines[split].append(f"{direction}/{clip.id} {label}\n")
                jobs.append((clip.path, target, direction == "backwards"))
    _encode(jobs)
    for split, listed in lines.items():
        (root / f"{split}.txt").write_text("".join(listed), encoding="utf-8")
    return _described(root, ORDER, DIRECTIONS)


def _encode(jobs: Iterable[tuple[str, Path, bool]]) -> None:
    """Source, target, and whether it is played backwards; what is there stays."""
    joblib.Parallel(n_jobs=-1)(joblib.delayed(_play)(*job) for job in jobs if not job[1].exists())


def _play(source: str, target: Path, backwards: bool) -> None:
    """Write the square in the middle of the frames."""
    target.parent.mkdir(parents=True, exist_ok=True)
    frames = ffmpeg.input(str(Path(source).resolve())).video.filter("crop", "min(iw,ih)", "min(iw,ih)")
    if backwards:
        frames = frames.filter("reverse")
    with temporary_path(target) as temporary:
        run_ffmpeg(ffmpeg.output(frames, str(temporary), vcodec="libx264", preset="ultrafast", crf=18, threads=1))
        temporary.replace(target)


def _described(root: Path, kind: str, class_names: Sequence[str], videos: str = "videos") -> RealSet:
    """A set with its data file."""
    dataset = {"name": root.name, "data_dir": str(root), "dir_videos": videos, "class_names": list(class_names)}
    (root / "data.json").write_text(json.dumps({"dataset": dataset}, indent=4) + "\n", encoding="utf-8")
    return RealSet(root.name, kind, root / "data.json", class_names)


def _has_audio(path: str) -> bool:
    with av.open(path) as container:
        return bool(container.streams.audio)


def _folders_of_classes(clips: Mapping[str, Sequence[Clip]]) -> list[str]:
    """Of each class the folder of its clips, where each class has one of its own."""
    folders: defaultdict[int, set[str]] = defaultdict(set)
    for members in clips.values():
        for clip in members:
            folders[clip.label].add(clip.id.rpartition("/")[0])
    names = [name for label in sorted(folders) for name in folders[label]]
    return names if len(set(names) - {""}) == len(names) == len(folders) else []
