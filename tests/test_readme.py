"""The README's map of the house is true."""

import re

from tests.processes import ROOT

README = (ROOT / "README.md").read_text()
FOLDERS = ("pipelines", "tsam_dali", "tools")


def test_every_file_stands_on_the_map_and_every_file_on_the_map_exists():
    files = {path.name for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")} - {"__init__.py"}
    begin, end = README.index("    pipelines/ "), README.index("## Your own data")
    assert set(re.findall(r"\b\w+\.py\b", README[begin:end])) == files


def test_links_lead_somewhere():
    targets = [target for target in re.findall(r"\]\(([^)]+)\)", README) if not target.startswith("https://")]
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []
