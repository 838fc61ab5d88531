"""README and docs: links lead somewhere, maps are complete, files that are named exist, and old names are gone."""

import re
from pathlib import Path

import pytest

from tests.helpers.processes import ROOT
from tests.test_layers import ORDER

PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks" / "README.md"]
README = (ROOT / "README.md").read_text()
OLD_NAMES = re.compile(  # names that nobody would search for, and what they are called now: see CHANGELOG.md
    r"\b(ways_in|WayIn|culprits?|joints|deaf_to|heed_sigterm|Learner|FiniteCheck|first_network|Ear)\b"
    r"|\b(unfinished|tells|Watch|Look|Seen|Heard)\(|\b(class |import .*)\b(unfinished|tells|Watch|Look|Seen|Heard)\b"
)
OTHER_WORDS = re.compile(r"\b(sounds?|hears?|heard|colours?)\b", re.IGNORECASE)


def without_code(text: str) -> str:
    """The prose of a page: without code blocks and `code`."""
    return re.sub(r"`[^`]*`", "", re.sub(r"^    .*$", "", text, flags=re.MULTILINE))


def anchors(page: Path) -> set[str]:
    """Those that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readme_is_read_in_five_minutes():
    assert len(README.splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)]+)\)", page.read_text())
    lost = []
    for target in targets:
        path, _, anchor = target.partition("#")
        other = page.parent / path if path else page
        if not target.startswith("https://") and (not other.exists() or (anchor and anchor not in anchors(other))):
            lost.append(target)
    assert lost == []


def test_the_start_page_leads_to_every_page_and_the_readme_there():
    start = ROOT / "docs" / "index.md"
    assert f"]({start.relative_to(ROOT)})" in README
    targets = (target.partition("#")[0] for target in re.findall(r"\]\(([^)]+)\)", start.read_text()))
    assert {*PAGES} - {(start.parent / target).resolve() for target in targets} == {start}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_are_named_exist(page):
    named = re.findall(r"`((?:pipelines|tsam_dali|tools|tests|docs|config|benchmarks)/[\w./-]+)`", page.read_text())
    made = {"benchmarks/clips/", "benchmarks/results/gpu"}
    assert [name for name in named if not (ROOT / name).exists() and name not in made] == []


def test_every_folder_stands_on_the_map_and_every_folder_on_the_map_exists():
    tops = ("pipelines", "tsam_dali", "tools")
    folders = {f"{path.parent.relative_to(ROOT)}/" for top in tops for path in (ROOT / top).rglob("*.py")}
    on_map = set(re.findall(r"^    (\w[\w/]*/)  ", README.split("## Where to look")[1], re.MULTILINE))
    assert on_map == {*folders, "benchmarks/", "tests/"}


def test_the_order_of_the_folders_is_that_of_the_tests():
    text = (ROOT / "docs" / "architecture.md").read_text().split("## The order of the folders")[1].split("\n## ")[0]
    assert re.findall(r"^    (\S+)", text, re.MULTILINE) == ORDER[::-1]


def test_old_names_are_gone():
    folders = ("pipelines", "tsam_dali", "tools", "benchmarks", "tests", "docs")
    paths = [*ROOT.glob("*.md"), *(path for folder in folders for path in (ROOT / folder).rglob("*.*"))]
    paths = [path for path in paths if path.suffix in (".py", ".md", ".html", ".sh")]
    assert len(paths) > 300
    texts = {path: path.read_text() for path in paths if path != Path(__file__)}
    assert [
        f"{path.relative_to(ROOT)}: {old[0]}" for path, text in texts.items() for old in OLD_NAMES.finditer(text)
    ] == []


WRITTEN = [page for page in PAGES if page.name not in ("CHANGELOG.md", "settings.md")]  # what was; the code's own words


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_use_the_words_of_the_field(page):
    assert OTHER_WORDS.findall(without_code(page.read_text())) == []
