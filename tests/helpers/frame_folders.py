"""Settings for frame folders, their problems, and changes to them."""

from pathlib import Path

import pytest

from pipelines.dataset.load import DataError, load_clips
from tests.helpers.loading import settings

FRAMES = {"pipeline": {"source": "frames", "max_bad_fraction": 0.6}}


def frame_settings(folder, *, workers=0, **sections):
    sections["pipeline"] = FRAMES["pipeline"] | sections.get("pipeline", {})
    return settings(folder, workers=workers, **sections)


def problems(config) -> str:
    with pytest.raises(DataError) as caught:
        load_clips(config)
    return str(caught.value)


def renumber(folder: Path, first: int) -> None:
    for number, path in enumerate(sorted(folder.iterdir()), first):
        path.rename(folder / f"moved{number}")
    for path in list(folder.iterdir()):
        path.rename(folder / f"{int(path.name[5:]):05d}.jpg")


def zip_rows(batch):
    return zip(batch.row.tolist(), batch.video, strict=True)
