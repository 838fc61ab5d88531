"""The benchmark of streams runs on a tiny network and leaves its figures."""

import json

import pytest

from benchmarks.model.live_variants import IMAGE, STREAM, WINDOW, WITH_AUDIO, Following, Size
from tests.benchmarks.read_results import results
from tests.helpers.processes import run


@pytest.mark.parametrize("way", [IMAGE, STREAM, WITH_AUDIO, WINDOW])
def test_every_way_follows_a_stream(way):
    frames = Following(way, Size("resnet10t", 3, 32, 1)).frames(4)
    assert len(frames) == 4
    assert all(cpu > 0 and wall > 0 for cpu, wall in frames)


@pytest.mark.slow
def test_live(tmp_path):
    output = tmp_path / "live.json"
    sizes = ["--arch", "resnet10t", "--pixels", "64", "--segments", "8", "--rounds", "3", "--threads", "1"]
    found = results(run("-m", "benchmarks.model.live", *sizes, "--output", output), output)
    figures = {figure["way"]: figure for figure in found["figures"]}
    assert figures[IMAGE]["cpu_relative_to_image"]["median"] == 1
    assert figures[STREAM]["cpu_ms"]["median"] < figures[WINDOW]["cpu_ms"]["median"]
    assert json.loads(output.read_text())["method"]["segments"] == [8]
