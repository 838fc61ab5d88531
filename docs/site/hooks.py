"""What turns the pages of docs/, which are written to be read on GitHub, into a site.

- The navigation is that of docs/index.md: its headings, and the links of their lists.
- Links that lead out of docs/ lead to copies of these files, below repository/; Markdown files are pages there.
- A notebook becomes a page, with the outputs that are stored in it.
- A list of names in docs/reference/ is followed by what their docstrings say.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from nbconvert import MarkdownExporter

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
    """Add the notebooks as pages, and the files of the repository that pages link to."""
    for path in sorted((ROOT / "docs").rglob("*.ipynb")):
        for file in notebook_page(path, config):
            files.append(file)
    pages = [page.src_uri for page in files.documentation_pages() if page.src_uri != "index.md"]
    waiting = ["docs/index.md", *(f"docs/{page}" for page in pages if (ROOT / "docs" / page).exists())]
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
    place = path.removeprefix("docs/") if path.startswith("docs/") else f"repository/{path}"
    return re.sub(r"\.ipynb$", ".md", place)


def notebook_page(path: Path, config: MkDocsConfig) -> Iterator[File]:
    """A notebook as a page of Markdown, and its pictures."""
    place = path.relative_to(ROOT / "docs").with_suffix("")
    files = {"output_files_dir": place.name}
    markdown, resources = MarkdownExporter().from_notebook_node(nbformat.read(path, 4), {**files})
    yield File.generated(config, f"{place}.md", content=markdown)
    for name, data in resources["outputs"].items():
        yield File.generated(config, f"{place.parent / name}", content=data)
