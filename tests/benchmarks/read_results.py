"""Reading what a benchmark left."""

import json
from pathlib import Path

from PIL import Image

ORIGIN = {"command", "date", "commit", "versions", "hardware", "load_before"}


def results(done, path: Path) -> dict:
    """The results of a benchmark that ran."""
    assert done.returncode == 0, done.stderr
    found = json.loads(path.read_text())
    assert found.keys() == {"benchmark", "method", "figures"} | ORIGIN
    assert str(path.parent) not in path.read_text()  # no folder of this machine
    assert Image.open(path.with_suffix(".png")).size[0] > 500
    return found
