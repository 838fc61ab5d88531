"""The benchmark of busy machines runs on a tiny network and leaves its figures."""

import pytest

from tests.benchmarks.read_results import results
from tests.helpers.processes import run


@pytest.mark.slow
def test_busy(tmp_path):
    output = tmp_path / "busy.json"
    sizes = ["--pixels", "32", "--segments", "2", "--batch_size", "2", "--rounds", "1", "--steps", "1"]
    found = results(run("-m", "benchmarks.training.busy", *sizes, "--output", output), output)
    figures = {(figure["processes"], figure["policy"]): figure for figure in found["figures"]}
    assert len(figures) == 4
    for processes in ("2 threads", "2 ranks"):
        assert figures[processes, "default"]["to_default"]["median"] == 1
        assert figures[processes, "ours"]["busy_to_quiet"]["median"] > 0
    assert found["method"]["policies"]["ours"] == {"GOMP_SPINCOUNT": "10000"}
