"""Data sets to measure with, made of links: a few clips under many ids, so that an epoch is long enough."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Repeated:
    """Clips of which each is listed under several ids."""

    names: Sequence[str]
    repeats: int

    def make(self, root: Path, folders: Mapping[str, Sequence[Path]]) -> Path:
        """Make a data set; the path of its data file.

        Args:
            root: its folder.
            folders: folder in it -> what each clip's ids link to there: files, or folders of frames.
        """
        for folder, sources in folders.items():
            (root / folder).mkdir(parents=True)
            for name, source in zip(self.names, sources, strict=True):
                ending = "" if source.is_dir() else source.suffix
                for clip_id in self.ids(name):
                    (root / folder / f"{clip_id}{ending}").symlink_to(source.resolve())
        ids = [clip_id for name in self.names for clip_id in self.ids(name)]
        (root / "training.txt").write_text("".join(f"{clip_id} 0\n" for clip_id in ids[1:]))
        (root / "validation.txt").write_text(f"{ids[0]} 0\n")  # not read, but there has to be one
        data = root / "data.json"
        data.write_text(json.dumps({"dataset": {"name": "benchmark", "data_dir": str(root)}}) + "\n")
        return data

    def ids(self, name: str) -> list[str]:
        """The ids of one clip."""
        return [f"{name}_{repeat:03d}" for repeat in range(self.repeats)]


def size_of(paths: Sequence[Path]) -> tuple[int, int]:
    """Bytes and number of files: of files, and of all that lies in folders; links are followed."""
    files = [file for path in paths for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file()]
    return sum(file.stat().st_size for file in files), len(files)
