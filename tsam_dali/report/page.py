"""Self-contained HTML pages without scripts, such as report.html of a run."""

from collections.abc import Iterable
from pathlib import Path

from pipelines.files.atomic import replacing
from tsam_dali.report.parts import Section, fill


def page(title: str, sections: Iterable[Section]) -> str:
    """The sections as one HTML page."""
    return str(fill("page.html", title=title, sections=list(sections)))


def write_page(path: Path, title: str, sections: Iterable[Section]) -> None:
    """Write `page` to `path`, atomically."""
    with replacing(path) as temporary:
        temporary.write_text(page(title, sections), encoding="utf-8", errors="backslashreplace")
