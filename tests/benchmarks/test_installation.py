"""How much of the disk predictions need: what the page says was measured, and holds for this environment."""

import json
import re

import pytest

from benchmarks.harness.results import FOLDER
from benchmarks.model import installation
from tests.helpers.processes import ROOT, called


def sizes(file) -> dict[tuple[str, str], float]:
    figures = json.loads(file.read_text())["figures"]
    return {(figure["kind"], figure["package"]): figure["megabytes"] for figure in figures}


def test_the_page_says_what_was_measured():
    found, text = sizes(FOLDER / "installation.json"), (ROOT / "docs" / "commands.md").read_text()
    said = [float(number) for number in re.findall(r"(\d\.\d) GB", text)]
    wanted = [("needed", "all"), ("needed", "torch"), ("CUDA", "all"), ("DALI", "all")]
    assert said == [round(found[key] / 1000, 1) for key in wanted]


def test_this_environment_has_the_sizes_of_the_page(tmp_path):
    recorded = sizes(FOLDER / "installation.json")
    assert called(installation.main, "--output", tmp_path / "a.json").returncode == 0
    found = sizes(tmp_path / "a.json")
    assert found["needed", "all"] == pytest.approx(recorded["needed", "all"], rel=0.15)
    parts = {kind: [size for (k, name), size in found.items() if k == kind and name != "all"] for kind, _ in found}
    assert {kind: pytest.approx(sum(each), abs=len(each)) for kind, each in parts.items()} == {
        kind: found[kind, "all"] for kind in parts
    }
    assert not [name for kind, name in found if kind == "needed" and re.match(r"nvidia|cuda|triton", name)]
    assert {"tsam-dali", "torch", "av", "numpy"} <= {name for kind, name in found if kind == "needed"}
