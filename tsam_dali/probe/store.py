"""Features of clips on disk: one safetensors file for every few clips, and what they were made with.

    OUT/embedding.json              settings, class names, lists, number of files, clips that cannot be opened
    OUT/backbone.safetensors        the weights of the backbone
    OUT/training_00000.safetensors  clips in the order of the list; validation_00000.safetensors, ...

Letters: n clips of a file, N of all; S video segments, A audio segments, F features.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from pipelines.dataset.list_file import SPLITS, Split
from pipelines.files.atomic import replacing
from tsam_dali.config.load import Config, config_from_dict

ABOUT, BACKBONE = "embedding.json", "backbone.safetensors"
FORMAT = "tsam_dali features"
CLIPS = "clips"
"""The one key of a file's metadata: with several, their order would differ from file to file."""


class EmbeddingError(ValueError):
    """Features that are missing, damaged, or of other settings."""


class Part(NamedTuple):
    """A file of features: the clips of one list from `first` on."""

    split: Split
    number: int

    @property
    def name(self) -> str:
        return f"{self.split}_{self.number:05d}.safetensors"


def write_part(
    path: Path, tensors: dict[str, np.ndarray], ids: list[str], ends: dict[str, float], unreadable: dict[str, str]
) -> None:
    """Write a file of features, atomically.

    Args:
        tensors: `frames` (n, S, F) and `frames_mean` (n, F); with audio `audio` (n, A, F), `audio_mean` (n, F) and
            `silent` bool (n,), clips without audio; `label` int64 (n,), or float64 (n, K) of labels or numbers;
            `thumbnail` uint8 (n, 3, h, w), the middle frame.
        ids: of the n clips.
        ends: where those that are pieces of a file end in it, in seconds.
        unreadable: id -> why, of the clips that are left out.
    """
    clips = json.dumps({"ids": ids, "ends": ends, "unreadable": unreadable})
    with replacing(path) as temporary:
        temporary.write_bytes(save(tensors, metadata={CLIPS: clips}))


def write_about(folder: Path, about: dict[str, Any]) -> None:
    """Write embedding.json."""
    with replacing(folder / ABOUT) as temporary:
        temporary.write_text(json.dumps({"format": FORMAT, **about}, indent=2) + "\n", encoding="utf-8")


def read_about(folder: Path) -> dict[str, Any]:
    """The content of embedding.json.

    Raises:
        EmbeddingError: it is missing, or no such file.
    """
    path = folder / ABOUT
    if not path.is_file():
        raise EmbeddingError(f"{folder}: has no {ABOUT}; expected a folder that python -m tsam_dali.embed wrote")
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise EmbeddingError(f"{path}: not a JSON file ({error})") from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise EmbeddingError(f"{path}: does not describe features of tsam_dali")
    return about


def parts_of(about: dict[str, Any]) -> list[Part]:
    """The files that belong to an embedding."""
    return [Part(split, number) for split in SPLITS for number in range(about["files"].get(split, 0))]


@dataclass(frozen=True)
class Features:
    """The features of N clips, those of the training list first; a clip of both lists stands in the first alone."""

    folder: Path
    about: dict[str, Any]
    ids: list[str]
    validation: np.ndarray  # bool (N,), whether a clip is of the validation list
    ends: dict[str, float]  # id -> where it ends in its file, of pieces
    unreadable: dict[str, str]  # id -> why, of clips without features
    rows: dict[str, np.ndarray]  # name of a file -> which of its clips are among the N, in their order

    @cached_property
    def config(self) -> Config:
        """The settings with which they were computed."""
        return config_from_dict(self.about["config"])

    @cached_property
    def label(self) -> np.ndarray:
        """int64 (N,); of labels or numbers float64 (N, K)."""
        return self.read("label")

    @property
    def class_names(self) -> tuple[str, ...]:
        """Of the data set; of classes without names their numbers."""
        return self.config.dataset.targets.names or tuple(map(str, range(int(self.label.max()) + 1)))

    @cached_property
    def has_audio(self) -> bool:
        """Whether there are features of audio, and some clip has any."""
        return self.config.num_spectrograms > 0 and not self.read("silent").all()

    def read(self, name: str) -> np.ndarray:
        """One of the tensors of `write_part`, for all N clips."""
        return np.concatenate([_tensor(self.folder / file, name)[rows] for file, rows in self.rows.items()])


def read_features(folder: Path) -> Features:
    """What `python -m tsam_dali.embed` wrote; tensors are read when they are asked for.

    Raises:
        EmbeddingError: files are missing, as the command was stopped, or damaged; or no clip could be read.
    """
    about = read_about(folder)
    parts = parts_of(about)
    missing = [part.name for part in parts if not (folder / part.name).is_file()]
    if missing:
        raise EmbeddingError(
            f"{folder}: {len(missing)} of {len(parts)} files are missing, the first is {missing[0]}; "
            "start python -m tsam_dali.embed again, it goes on where it was stopped"
        )
    place: dict[str, bool] = {}  # id -> whether it is of the validation list
    unreadable = {clip_id: why for left_out in about["left_out"].values() for clip_id, why in left_out.items()}
    ends: dict[str, float] = {}
    rows: dict[str, np.ndarray] = {}
    for part in parts:
        clips = _clips(folder / part.name)
        new = [row for row, clip_id in enumerate(clips["ids"]) if clip_id not in place]
        place |= {clips["ids"][row]: part.split == "validation" for row in new}
        ends |= clips["ends"]
        unreadable |= clips["unreadable"]
        rows[part.name] = np.array(new, int)
    if not place:
        raise EmbeddingError(f"{folder}: none of its {len(unreadable)} clips could be read")
    return Features(folder, about, list(place), np.array(list(place.values())), ends, unreadable, rows)


def _clips(path: Path) -> dict[str, Any]:
    with _opened(path) as file:
        return json.loads(file.metadata()[CLIPS])


def _tensor(path: Path, name: str) -> np.ndarray:
    with _opened(path) as file:
        return file.get_tensor(name)


def _opened(path: Path) -> Any:
    try:
        return safe_open(path, "numpy")
    except (SafetensorError, OSError) as error:
        raise EmbeddingError(
            f"{path}: damaged ({error}); delete it and start python -m tsam_dali.embed again"
        ) from error


def whole_parts(folder: Path, parts: list[Part]) -> Iterator[Part]:
    """Those of the files that are there; raises EmbeddingError if one of them is damaged."""
    for part in parts:
        if (folder / part.name).is_file():
            _clips(folder / part.name)
            yield part
