"""The files of the folder config/, which are installed with the package."""

from pathlib import Path

FOLDER = Path(__file__).with_name("ready_made")


def here_or_shipped(path: str | Path) -> Path:
    """A file of config/ that is not in this folder is the one of the package."""
    path = Path(path)
    shipped = FOLDER / path.name
    return shipped if str(path.parent) == "config" and not path.exists() and shipped.exists() else path
