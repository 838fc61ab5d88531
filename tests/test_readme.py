"""The README's map of the house is true."""

import json
import re
from collections import defaultdict
from statistics import median

from tests.processes import ROOT
from tools.demo import LEARNT

README = (ROOT / "README.md").read_text()
FOLDERS = ("pipelines", "tsam_dali", "tools")


def test_links_lead_somewhere():
    targets = [target for target in re.findall(r"\]\(([^)]+)\)", README) if not target.startswith("https://")]
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_the_table_of_the_demo_is_that_of_its_results():
    results = json.loads((ROOT / "benchmarks/results/demo.json").read_text())
    scores = defaultdict(list)
    for figure in results["figures"]:
        scores[figure["variant"]].append(figure["accuracy"])
    rows = [
        (variant, str(len(found)), *(f"{100 * score:.1f} %" for score in (min(found), median(found), max(found))))
        for variant, found in scores.items()
    ]
    section = README[README.index("## The demo") : README.index("## What lies where")]
    assert re.findall(r"^\| (\w.*?) \| (\d+) \| (.*?) \| (.*?) \| (.*?) \|$", section, re.M) == rows
    assert min(scores["shift and audio"]) >= LEARNT
    assert results["hardware"]["cpu"] in section
