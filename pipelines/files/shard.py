"""One of several runs of a tool that share the clips of a data set, and the part files that such runs write."""

import os
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_PART = re.compile(r"\.\d+-of-\d+$")


@dataclass(frozen=True)
class Shard:
    """Run number `number`, counted from 0, of `count` runs."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """The shard of the text "i/n".

        Raises:
            ValueError: it is none.
        """
        number, slash, count = text.partition("/")
        if not (slash and number.isdecimal() and count.isdecimal() and int(number) < int(count)):
            raise ValueError(f"{text!r}: expected i/n with i from 0 to n - 1, for example 0/4 for the first of four")
        return cls(int(number), int(count))

    def holds(self, clip_id: str) -> bool:
        """Whether a clip is this run's: by its name alone, so that all runs agree, also on other machines."""
        return zlib.crc32(clip_id.encode(errors="surrogateescape")) % self.count == self.number

    def part(self, path: Path) -> Path:
        """This run's own file beside `path`: index.jsonl -> index.0-of-4.jsonl."""
        return path.with_name(f"{path.stem}.{self.number}-of-{self.count}{path.suffix}")


def part_files(path: Path) -> list[Path]:
    """The part files beside `path`, the latest last."""
    if not path.parent.is_dir():
        return []
    begin = f"{path.stem}."
    with os.scandir(path.parent) as entries:
        names = [entry.name for entry in entries if entry.name.startswith(begin) and entry.name.endswith(path.suffix)]
    parts = [path.with_name(name) for name in names if _PART.search(name.removesuffix(path.suffix))]
    return sorted(parts, key=lambda part: (_time(part), part.name))


def _time(part: Path) -> int:
    try:
        return part.stat().st_mtime_ns
    except FileNotFoundError:  # another run has just put it into the whole file
        return 0
