"""What turns the pages of docs/, which are written to be read on GitHub, into a site.

- The navigation is that of docs/index.md: its headings, and the links of their lists.
- Links that lead out of docs/ lead to copies of these files, below repository/; Markdown files are pages there.
- A list of names in docs/reference/ is followed by what their docstrings say.
"""

import os
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\]\(([^)#:\s]+)((?:#[^)\s]*)?)\)")
"""A link to a file, and its anchor; not one with https:."""
ENTRY = re.compile(r"^- \[([^\]]+)\]\(([^)#:]+)\)", re.MULTILINE)
NAME = re.compile(r"^- \[`([\w.]+)`\]\([^)]+\)", re.MULTILINE)


def on_config(config: MkDocsConfig) -> None:
    """The navigation, from the start page."""
    parts = (ROOT / "docs" / "index.md").read_text(encoding="utf-8").split("\n## ")[1:]
    sections = {part.splitlines()[0]: ENTRY.findall(part) for part in parts}
    config.nav = [
        {"Start": "index.md"},
        *(
            {section: [{title: place_of(linked("docs/index.md", target))} for title, target in entries]}
            for section, entries in sections.items()
            if entries
        ),
    ]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files of the repository that pages link to."""
    waiting = [f"docs/{page.src_uri}" for page in files.documentation_pages()]
    seen = set(waiting)
    while waiting:
        page = waiting.pop()
        for target, _ in LINK.findall((ROOT / page).read_text(encoding="utf-8")):
            path = linked(page, target)
            if path in seen or path.startswith("docs/") or not (ROOT / path).is_file():
                continue
            seen.add(path)
            files.append(File.generated(config, place_of(path), abs_src_path=str(ROOT / path)))
            if path.endswith(".md"):
                waiting.append(path)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead the links to where the files are on the site; add docstrings."""
    here = page.file.src_uri
    source = here.removeprefix("repository/") if here.startswith("repository/") else f"docs/{here}"

    def moved(link: re.Match[str]) -> str:
        path = linked(source, link[1])
        if not (ROOT / path).exists():
            return link[0]  # MkDocs warns of it
        return f"]({os.path.relpath(place_of(path), os.path.dirname(here))}{link[2]})"

    if here.startswith("reference/"):
        names = NAME.findall(markdown)
        markdown = NAME.sub(r"- [`\1`][\1]", markdown)
        markdown = "\n\n".join([markdown, *(f"::: {name}" for name in names)])
    return LINK.sub(moved, markdown)


def linked(page: str, target: str) -> str:
    """The file of the repository that a link on a page leads to."""
    return os.path.normpath(os.path.join(os.path.dirname(page), target))


def place_of(path: str) -> str:
    """Where a file of the repository is on the site, by the names that MkDocs gives its sources."""
    return path.removeprefix("docs/") if path.startswith("docs/") else f"repository/{path}"
