"""The benchmark of the start, on small lists."""

import json

import pytest

from benchmarks.loading.startup import make_data
from pipelines.dataset.load import load_clips
from tests.helpers.processes import run
from tsam_dali.config import load_config


def test_the_index_of_the_synthetic_data_is_believed(tmp_path):
    """Nothing is probed: what is measured is a start with a known data set."""
    data = make_data(tmp_path, 40)
    before = (tmp_path / "index.jsonl").read_bytes()
    config = load_config(data, "config/example_config.json", ["model.audio_segments=0"])
    clips = load_clips(config)
    assert {split: len(members) for split, members in clips.items()} == {"training": 36, "validation": 4}
    assert (tmp_path / "index.jsonl").read_bytes() == before


@pytest.mark.slow
def test_startup(tmp_path):
    output = tmp_path / "startup.json"
    sizes = ("--sizes", 40, 80, "--rounds", 1, "--workers", 1)
    done = run("-m", "benchmarks.loading.startup", *sizes, "--output", output)
    assert done.returncode == 0, done.stderr
    figures = json.loads(output.read_text())["figures"]
    assert [figure["clips"] for figure in figures] == [40, 80]
    for figure in figures:
        parts = [figure[name]["median"] for name in ("checks", "settings", "data", "import", "first batch")]
        assert figure["start"]["median"] == pytest.approx(sum(parts), rel=0.01)
    assert output.with_suffix(".png").stat().st_size > 10_000
