"""List files and the clips they name: `ID label` lines, the folders of a data set, the file of each id."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

# File ending -> the demuxer that may open it (FFmpeg's name). Forcing the demuxer keeps a playlist named x.mp4 from
# being opened as a playlist. The order is the order in which the endings of an id are tried.
DEMUXERS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "matroska",
    ".avi": "avi",
}


class InputError(ValueError):
    """What a user gave cannot be used. `problems` holds one line of text for each thing that is wrong."""

    def __init__(self, problems: Sequence[str]):
        super().__init__(list(problems))
        self.problems = list(problems)

    def __str__(self) -> str:
        return "\n".join(self.problems)


class ListError(InputError):
    """A list file, or an id in it, that cannot be used."""


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Where a data set lies: TSAM's `dataset` section."""

    data_dir: str
    """Folder of the data set; relative to the working directory, as in TSAM."""
    name: str = ""
    """Free text that names the data set in outputs."""
    dir_videos: str = "videos"
    """Folder of the videos, inside data_dir."""
    dir_frames: str = "frames"
    """Folder of extracted JPEG frames, inside data_dir."""
    dir_audios: str = "audios"
    """Folder of .wav files, inside data_dir."""
    dir_mels: str = "mels"
    """Folder of the precomputed log-mel store, inside data_dir."""
    file_train_list: str = "training.txt"
    """List of the training clips, inside data_dir: one `ID label` a line."""
    file_val_list: str = "validation.txt"
    """List of the validation clips, inside data_dir."""
    frames_tmpl: str = "{:05d}.jpg"
    """Name of extracted frame number i, counted from 1."""
    class_names: tuple[str, ...] = ()
    """Name of each class, in the order of the labels; empty: the labels themselves are the names."""

    @property
    def root(self) -> Path:
        return Path(self.data_dir)

    @property
    def videos(self) -> Path:
        return self.root / self.dir_videos

    @property
    def frames(self) -> Path:
        return self.root / self.dir_frames

    @property
    def audios(self) -> Path:
        return self.root / self.dir_audios

    @property
    def mels(self) -> Path:
        return self.root / self.dir_mels

    def list_file(self, split: str) -> Path:
        """The list of `split`, which is "training" or "validation"."""
        return self.root / {"training": self.file_train_list, "validation": self.file_val_list}[split]


class Entry(NamedTuple):
    """One line of a list file."""

    id: str
    label: int
    line: int


class Clip(NamedTuple):
    """One clip that can be read: a line of a list and what the index knows of its file."""

    id: str
    label: int
    path: str
    frames: int  # that a full decode yields
    height: int  # pixels, as shown (after rotation)
    width: int
    sound: bool  # the clip has sound


def read_list(path: str | Path) -> list[Entry]:
    """Read a list file: one `ID label` a line; blank lines, `#` comments, CRLF and a byte order mark are fine.

    An id may hold spaces (the label is what follows the last one). A line that repeats an id with the same label is
    left out.

    Raises:
        ListError: with every problem of the file, each as `file:line: what is wrong`.
    """
    entries: list[Entry] = []
    problems: list[str] = []
    label_of: dict[str, Entry] = {}
    for number, text in text_lines(path):
        where = f"{path}:{number}"
        if text is None:
            problems.append(f"{where}: not UTF-8 text")
            continue
        if not text or text.startswith("#"):
            continue
        problem = _line_problem(text)
        if problem:
            problems.append(f"{where}: {problem}")
            continue
        clip_id, label = text.rsplit(None, 1)
        entry = Entry(clip_id, int(label), number)
        first = label_of.setdefault(clip_id, entry)
        if first is entry:
            entries.append(entry)
        elif first.label != entry.label:
            problems.append(f"{where}: {clip_id!r} has label {label}, but line {first.line} gives it {first.label}")
    if not entries and not problems:
        problems.append(f"{path}: the list is empty; expected one `ID label` a line")
    if problems:
        raise ListError(problems)
    return entries


def text_lines(path: str | Path) -> Iterator[tuple[int, str | None]]:
    """The lines of a text file: (line number from 1, stripped text or None where the bytes are not UTF-8).

    Raises:
        ListError: the file cannot be read.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ListError([f"{path}: cannot be read ({error.strerror}); check data_dir and the list's name"]) from error
    for number, raw in enumerate(data.removeprefix(b"\xef\xbb\xbf").splitlines(), 1):
        try:
            yield number, raw.decode("utf-8").strip()
        except UnicodeDecodeError:
            yield number, None


def _line_problem(text: str) -> str | None:
    """What is wrong with one line of a list, or None."""
    parts = text.rsplit(None, 1)
    if len(parts) != 2:
        return f"expected `ID label`, got {text!r}"
    clip_id, label = parts
    if not (label.isascii() and label.isdecimal() and len(label) <= 9):
        return f"the label must be a whole number from 0, got {label!r}"
    return id_problem(clip_id)


def id_problem(clip_id: str) -> str | None:
    """Why an id cannot stand in a list, or None."""
    if not clip_id.isprintable():
        return f"the id holds control characters: {clip_id!r}"
    if not clip_id or clip_id != clip_id.strip() or clip_id.startswith("#"):
        return f"an id must not be empty, begin with # or begin or end with a space: {clip_id!r}"
    if clip_id.startswith(("/", "~")) or ".." in clip_id.split("/"):
        return f"the id leaves the data folder: {clip_id!r}"
    return None


def check_labels(training: Sequence[Entry], validation: Sequence[Entry], class_names: Sequence[str] = ()) -> list[str]:
    """Problems of the labels of two lists (empty: none): labels are 0..k-1 without gaps, k from the training list."""
    present = {entry.label for entry in training}
    num_class = max(present) + 1
    problems = []
    gaps = [label for label in range(min(num_class, 100_000)) if label not in present]
    if gaps:
        shown = ", ".join(map(str, gaps[:10])) + (", ..." if len(gaps) > 10 else "")
        problems.append(
            f"training list: labels run from 0 to {num_class - 1}, but no clip has label {shown}; "
            "labels must be consecutive integers starting from 0"
        )
    unknown = sorted({entry.label for entry in validation} - set(range(num_class)))
    if unknown:
        problems.append(
            f"validation list: labels {unknown[:10]} do not occur in the training list (0 to {num_class - 1})"
        )
    if class_names and len(class_names) != num_class:
        problems.append(f"dataset.class_names: {len(class_names)} names for {num_class} classes in the training list")
    return problems


def find_video(dataset: Dataset, clip_id: str) -> Path:
    """The file of an id: `dir_videos/ID.mp4`, or the one file with another known ending.

    Raises:
        ListError: there is no such file.
    """
    for ending in DEMUXERS:
        path = dataset.videos / f"{clip_id}{ending}"
        if os.path.lexists(path):
            return path
    raise ListError([_no_video(dataset, clip_id)])


def find_videos(dataset: Dataset, clip_ids: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """The same for many ids, each folder listed once: the file of each, relative to data_dir; and a line of text for
    each id that has none. A link that leads nowhere is a file.
    """
    videos = str(PurePosixPath(dataset.dir_videos))
    files, problems = {}, []
    names_in: dict[str, frozenset[str]] = {}
    for clip_id in clip_ids:
        folder, slash, name = clip_id.rpartition("/")
        if folder not in names_in:
            names_in[folder] = _names(os.path.join(dataset.data_dir, videos, folder))
        names = names_in[folder]
        for ending in DEMUXERS:
            if name + ending in names:
                files[clip_id] = f"{videos}/{folder}{slash}{name}{ending}"
                break
        else:
            problems.append(_no_video(dataset, clip_id))
    return files, problems


def _no_video(dataset: Dataset, clip_id: str) -> str:
    return f"{dataset.videos / clip_id}: no video with one of the endings {' '.join(DEMUXERS)}"


def _names(folder: str) -> frozenset[str]:
    """Of everything in a folder; none if it cannot be listed."""
    try:
        return frozenset(os.listdir(folder))
    except OSError:
        return frozenset()


def video_ids(dataset: Dataset) -> list[str]:
    """The ids of all videos in dir_videos and its sub-folders, also those that are links, sorted."""
    root, ids, seen = str(dataset.videos), set(), set()
    for folder, folders, names in os.walk(root, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:  # links can make a circle
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        for name in (*folders, *names):
            stem, ending = os.path.splitext(name)
            if ending in DEMUXERS:
                ids.add(os.path.relpath(os.path.join(folder, stem), root))
    return sorted(ids)
