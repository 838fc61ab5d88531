"""The README's map of the folders is true, and its links lead somewhere."""

import re

from tests.helpers.processes import ROOT

README = (ROOT / "README.md").read_text()
WHOLE = ("benchmarks", "tests")  # one line for all of it


def test_every_folder_stands_on_the_map_and_every_folder_on_the_map_exists():
    folders = {
        f"{path.parent.relative_to(ROOT)}/"
        for top in ("pipelines", "tsam_dali", "tools")
        for path in (ROOT / top).rglob("*.py")
    }
    on_map = set(re.findall(r"^    (\w[\w/]*/) ", README, re.MULTILINE))
    assert {name for name in on_map if name.split("/")[0] not in (*WHOLE, "config", "docs")} == folders


def test_links_lead_somewhere():
    targets = [target for target in re.findall(r"\]\(([^)]+)\)", README) if not target.startswith("https://")]
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []
