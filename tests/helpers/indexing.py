"""Indexing a data set, and what its index holds."""

import json
from functools import partial

from pipelines.dataset.clips import Dataset
from pipelines.dataset.media_files import video_ids
from pipelines.dataset.video_index import index_videos
from tests.helpers import probes


def lines(dataset: Dataset) -> list[dict]:
    return [json.loads(line) for line in (dataset.root / "index.jsonl").read_text().splitlines()]


def index(dataset: Dataset, **options) -> dict[str, dict]:
    return index_videos(dataset, video_ids(dataset), 1, **options)


def probed(dataset: Dataset, **options) -> list[str]:
    """The files that an indexing looks into."""
    calls = dataset.root / "calls"
    calls.write_text("")
    index(dataset, probe=partial(probes.slowly, calls=str(calls)), **options)
    return sorted(calls.read_text().splitlines())
