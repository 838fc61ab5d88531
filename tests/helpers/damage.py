"""Random damage to files, and writing them thousands of times."""

from pathlib import Path

import numpy as np

DAMAGES = ["flip", "head", "tail", "zero", "noise", "cut", "drop"]


def damage(data: bytes, kind: str, rng: np.random.Generator) -> bytes:
    """A file's bytes with damage of a `kind` of DAMAGES, at a random place."""
    changed, at, length = bytearray(data), int(rng.integers(len(data))), int(rng.integers(1, 400))
    if kind == "flip":
        for _ in range(rng.integers(1, 4)):
            changed[rng.integers(len(data))] ^= 1 << rng.integers(8)
    elif kind in ("head", "tail"):  # where the tables of a file are
        for _ in range(rng.integers(1, 6)):
            place = int(rng.integers(min(1500, len(data))))
            changed[place if kind == "head" else -1 - place] = rng.integers(256)
    elif kind == "zero":
        changed[at : at + length] = bytes(len(changed[at : at + length]))
    elif kind == "noise":
        changed[at : at + length] = rng.bytes(len(changed[at : at + length]))
    elif kind == "cut":
        del changed[at:]
    else:
        del changed[at : at + length]
    return bytes(changed)


def rewrite(path: Path, content: bytes) -> None:
    """As `write_bytes`, without emptying the file first: file systems may then wait for the disk, for milliseconds."""
    with open(path, "r+b") as file:
        file.write(content)
        file.truncate()
