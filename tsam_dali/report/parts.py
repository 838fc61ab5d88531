"""The parts of a section of a page: templates whose values are escaped, images as base64."""

import base64
import io
import logging
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from jinja2 import Environment, PackageLoader
from markupsafe import Markup
from PIL import Image

log = logging.getLogger(__name__)


class Section(NamedTuple):
    """A part of a page."""

    title: str
    body: Markup  # HTML, from `fill`
    note: str = ""  # a sentence below the title


def drawn(title: str, make: Callable[[], Section]) -> Section:
    """What `make` returns; where it fails, a section that says so and a warning, since a plot must not end a run."""
    try:
        return make()
    except Exception as error:
        log.warning("report: %s could not be drawn (%s: %s)", title, type(error).__name__, error)
        return Section(title, Markup(""), f"could not be drawn: {type(error).__name__}: {error}")


def fill(template: str, **values: Any) -> Markup:
    """A template of templates/ with its values, which are escaped unless they are Markup."""
    return Markup(_templates().get_template(template).render(**values))


def plot_source(draw: Callable[[io.BytesIO], Any]) -> str:
    """The `src` of the PNG that `draw` writes to the file it is given."""
    file = io.BytesIO()
    draw(file)
    return png_source(file.getvalue())


def image_source(pixels: np.ndarray) -> str:
    """The `src` of an image uint8 (3, H, W)."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0))).save(file, "PNG")
    return png_source(file.getvalue())


def png_source(png: bytes) -> str:
    """The `src` of a PNG."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


@lru_cache(maxsize=1)
def _templates() -> Environment:
    return Environment(loader=PackageLoader("tsam_dali.report"), autoescape=True, trim_blocks=True, lstrip_blocks=True)
