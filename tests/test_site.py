"""The site that `make docs` builds from docs/: no warning, no broken link, nothing fetched from elsewhere."""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from markdown_it import MarkdownIt

from tests.helpers.processes import ROOT

DOCS = ROOT / "docs"
REFERENCE = sorted((DOCS / "reference").glob("*.md"))
ENTRY = re.compile(r"^- \[`([\w.]+)`\]\(([^)]+)\)", re.MULTILINE)


def build(docs: Path, out: Path) -> subprocess.CompletedProcess:
    mkdocs = (sys.executable, "-m", "mkdocs", "build", "--strict")  # with --quiet no warning is an error
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    command = [*mkdocs, "-f", docs / "site/mkdocs.yml", "-d", out]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


class Links(HTMLParser):
    """The links and the anchors of a page of the site."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.links, self.parts, self.anchors = list[str](), list[str](), set[str]()
        self.feed(page.read_text())

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value for name, value in attributes if value is not None}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag in ("img", "script", "link") and (address := values.get("src") or values.get("href")):
            self.parts.append(address)


def top(site: dict[Path, Links]) -> Path:
    return min(site, key=lambda page: len(page.parts)).parent


def tags(html: str) -> Counter[str]:
    return Counter(re.findall(r"<(p|li|tr|pre|h2|h3|strong)[ >]", html))


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> dict[Path, Links]:
    """The pages of the site, which is built as `make docs` does."""
    out = tmp_path_factory.mktemp("site")
    built = build(DOCS, out)
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr
    return {page: Links(page) for page in sorted(out.rglob("*.html")) if page.name != "404.html"}


def test_every_link_of_every_page_leads_somewhere(site):
    lost = []
    for page, content in site.items():
        for link in [*content.links, *content.parts]:
            address = urlsplit(link)
            if address.scheme:
                continue
            other = (page.parent / unquote(address.path)).resolve() if address.path else page
            if not other.is_file() or (
                address.fragment and other in site and address.fragment not in site[other].anchors
            ):
                lost.append(f"{page.name}: {link}")
    assert lost == []


def test_nothing_is_fetched_from_elsewhere(site):
    assert {part for content in site.values() for part in content.parts if urlsplit(part).netloc} == set()


def test_files_outside_of_docs_are_on_the_site(site):
    for name in ("index.html", "CONTRIBUTING.html", "benchmarks/index.html", "benchmarks/results/loader.json"):
        assert (top(site) / "repository" / name).is_file()


def test_pages_are_what_github_makes_of_them(site):
    """As many paragraphs, list items, rows, blocks of code: the two read Markdown by different rules."""
    github = MarkdownIt("commonmark").enable("table")
    for page in sorted(DOCS.rglob("*.md")):
        place = page.relative_to(DOCS).with_suffix(".html")
        if place.parts[0] != "reference":  # these have the docstrings besides
            article = (top(site) / place).read_text().partition("<article")[2].partition("</article>")[0]
            assert tags(article) == tags(github.render(page.read_text())), place


@pytest.mark.parametrize("page", REFERENCE, ids=lambda page: page.stem)
def test_the_reference_names_what_is_defined_where_it_says(page):
    entries = ENTRY.findall(page.read_text())
    assert entries
    for name, target in entries:
        tree = ast.parse((page.parent / target).read_text())
        names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
        assert name.rpartition(".")[2] in names


def test_the_docstrings_are_on_the_site(site):
    for page in REFERENCE:
        (content,) = (
            content for made, content in site.items() if made.parts[-2:] == ("reference", f"{page.stem}.html")
        )
        assert {name for name, _ in ENTRY.findall(page.read_text())} <= content.anchors


def test_what_is_broken_is_an_error(tmp_path):
    docs = tmp_path / "docs"
    shutil.copytree(DOCS / "site", docs / "site")
    (docs / "index.md").write_text("# Start\n\n## Guides\n\n- [Title](page.md): a page\n")
    (docs / "page.md").write_text("# Title\n\n[a](lost.md) [b](../lost.py) [c](#lost) [d](index.md#lost)\n")
    (docs / "forgotten.md").write_text("# Title\n")
    built = build(docs, tmp_path / "site")
    assert built.returncode != 0
    for said in ("'lost.md'", "'../lost.py'", "'#lost'", "'index.md#lost'", "forgotten.md"):
        assert said in built.stderr


def test_a_name_in_the_reference_that_is_not_there_is_an_error(tmp_path):
    docs = tmp_path / "docs"
    shutil.copytree(DOCS / "site", docs / "site")
    (docs / "reference").mkdir()
    (docs / "index.md").write_text("# Start\n\n## Reference\n\n- [Names](reference/names.md): some\n")
    (docs / "reference/names.md").write_text("# Names\n\n- [`nobody.knows`](names.md): this\n")
    built = build(docs, tmp_path / "site")
    assert built.returncode != 0
    assert "nobody.knows" in built.stderr
