"""A small data set with audio in its videos, and its features by a tiny network."""

import json
from pathlib import Path

from tests.helpers.media import write_video

CLASSES = 3
SMALL = ("--set", "pipeline.workers=0", "--batch_size", 4)
"""Arguments of tsam_dali.embed."""


def write_data(folder: Path, training: int = 18, validation: int = 6) -> Path:
    """Videos of three classes, whose pictures carry other numbers, with audio; of each class the same number. The data
    file."""
    (folder / "videos").mkdir(parents=True)
    for split, start, count in (("training", 0, training), ("validation", training, validation)):
        lines = []
        for i in range(start, start + count):
            name, label = f"person{i // CLASSES}_take{i}", i % CLASSES
            path = folder / "videos" / f"{name}.mp4"
            write_video(path, 8 + i % 4, (48, 64), audio=True, first_number=(0, 1365, 4000)[label] + i)
            lines.append(f"{name} {label}\n")
        (folder / f"{split}.txt").write_text("".join(lines))
    names = ["dark", "striped", "light"]
    data = folder / "data.json"
    data.write_text(json.dumps({"dataset": {"data_dir": str(folder), "name": "numbers", "class_names": names}}))
    return data
