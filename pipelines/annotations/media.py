"""The folder that holds the clips of a list, as videos or as folders of frames, and which of them a row means."""

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath

from pipelines.annotations.rows import SPLITS, Listing, Row, class_key, without_ending
from pipelines.dataset.clips import Dataset
from pipelines.files.errors import ListError
from pipelines.files.formats import DEMUXERS
from pipelines.files.unicode_names import name_hint, same_form
from pipelines.files.words import counted

IMAGES = (".jpg", ".jpeg", ".png")


class MediaFolder:
    """The ids of the videos in a folder, or with `frames` those of the folders with images; no file is opened.

    Links are followed. Names that begin with a dot are passed over.
    """

    def __init__(self, root: Path, *, frames: bool = False):
        """Raises ListError if `root` is not a folder."""
        if not os.path.isdir(root):
            what = "is not a folder" if os.path.lexists(root) else "no such folder"
            raise ListError([f"{root}: {what}; see --{'frames' if frames else 'videos'}{name_hint(root)}"])
        self.root = root
        self.frames = frames
        self.in_capitals: list[str] = []
        """Videos whose ending is not in small letters: the loader does not find them."""
        ids: set[str] = set()
        for folder, names in _walk(root):
            if frames and any(name.lower().endswith(IMAGES) for name in names):
                ids.add(folder)
            for name in () if frames else names:
                ending = PurePosixPath(name).suffix
                path = f"{folder}/{name}".removeprefix("./")
                if ending in DEMUXERS:
                    ids.add(without_ending(path))
                elif ending.lower() in DEMUXERS:
                    self.in_capitals.append(path)
        self.ids = frozenset(ids)

    def capitals_hint(self) -> str:
        """What to add where no video was found at all."""
        if not self.in_capitals:
            return ""
        have = counted(len(self.in_capitals), "video has", "videos have")
        return f"; {have} an ending in capitals: rename them ({self.in_capitals[0]})"

    def find(self, row: Row, *, by_name: bool) -> list[str]:
        """The ids that a row can mean: the one of that path; else, `by_name`, those of that name in any folder.

        Names match in any Unicode form. Of several the ones in the folder of the row's class count, if there are any.
        """
        if row.name in self.ids:
            return [row.name]
        found = self._by_form.get(same_form(row.name), [])
        if by_name and not found:
            found = self._by_name[same_form(PurePosixPath(row.name).name)]
        if len(found) > 1:
            key = class_key(row.label)
            found = [clip for clip in found if key in map(class_key, PurePosixPath(clip).parts[:-1])] or found
        return found

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        found = defaultdict(list)
        for clip_id in sorted(self.ids):
            found[same_form(PurePosixPath(clip_id).name)].append(clip_id)
        return found

    @cached_property
    def _by_form(self) -> dict[str, list[str]]:
        found = defaultdict(list)
        for clip_id in filter(lambda clip_id: not clip_id.isascii(), self.ids):
            found[same_form(clip_id)].append(clip_id)
        return found

    def frames_tmpl(self) -> str:
        """The setting `frames_tmpl` that fits the first folder, such as `{:05d}.jpg`; TSAM's where there is none."""
        for clip_id in sorted(self.ids)[:1]:
            names = [path.name for path in (self.root / clip_id).iterdir() if path.name.lower().endswith(IMAGES)]
            # Frames are often kept with the optical flow of each, named flow_x_00001.jpg and so on.
            first = min(names, key=lambda name: (name.startswith("flow"), name))
            found = re.fullmatch(r"(.*?)(\d+)(\.\w+)", first)
            if found:
                return f"{found[1]}{{:0{len(found[2])}d}}{found[3]}"
        return Dataset.frames_tmpl


def _walk(root: Path) -> Iterator[tuple[str, list[str]]]:
    """(folder relative to `root`, "." for itself; its file names) of all folders."""

    def fail(error: OSError) -> None:
        raise ListError([f"{error.filename}: cannot be read ({error.strerror})"])

    for folder, folders, files in os.walk(root, followlinks=True, onerror=fail):
        real = os.path.realpath(folder)
        folders[:] = sorted(
            name for name in folders if name[0] != "." and not _leads_up(os.path.join(folder, name), real)
        )
        yield os.path.relpath(folder, root), [name for name in files if name[0] != "."]


def _leads_up(path: str, real: str) -> bool:
    """Whether a path is a link to `real`, the folder that it is in, or to one above."""
    target = os.path.realpath(path)
    return os.path.islink(path) and os.path.commonpath([real, target]) == target


def read_folder(source: Path, media: MediaFolder) -> Listing:
    """Rows for `source`, the clips' folder or one inside it: `<class>/...` or `train/<class>/...`, `val/...`.

    The first folder is the split if both kinds of split, or only splits, stand there and classes below them.
    """
    listing = Listing()
    inside = Path(os.path.relpath(source.absolute(), media.root.absolute()))
    if ".." in inside.parts:
        listing.problems.append(f"{source}: lies outside the folder of the clips, {media.root}; see --videos")
        return listing
    paths = {}  # id -> path below source
    for clip_id in sorted(media.ids):
        if PurePosixPath(clip_id).is_relative_to(inside.as_posix()):
            paths[clip_id] = PurePosixPath(clip_id).relative_to(inside.as_posix()).parts
    first = {parts[0] for parts in paths.values() if len(parts) > 1}
    splits = {SPLITS.get(name.lower()) for name in first}
    has_splits = {"training", "validation"} <= splits or (
        "training" in splits and None not in splits and all(len(parts) != 2 for parts in paths.values())
    )
    for clip_id, parts in paths.items():
        where, split = repr(str(media.root / clip_id)), ""
        if has_splits:
            split, parts = SPLITS.get(parts[0].lower(), "?"), parts[1:]
        if split == "?":
            listing.problems.append(f"{where}: lies in none of the folders of the splits")
        elif len(parts) < 2:
            listing.problems.append(f"{where}: lies in no class folder")
        else:
            listing.rows.append(Row(where, clip_id, parts[0], split))
    if not paths:
        listing.problems.append(
            f"{source}: holds no clip; expected a folder of videos for each class{media.capitals_hint()}"
        )
    return listing
