"""The example data set: made on first use, so that every command works without arguments."""

import subprocess
import sys
from pathlib import Path

from pipelines.clips import Dataset

NAME = "example"
_MAKER = Path(__file__).resolve().parent.parent / "tools" / "make_example.py"


def ensure_example(dataset: Dataset) -> None:
    """Make the example data if `dataset` is the example and its folder does not exist; else do nothing."""
    if dataset.name != NAME or dataset.root.exists() or not _MAKER.is_file():
        return
    print(f"{dataset.data_dir} does not exist: making the example data set", flush=True)
    subprocess.run([sys.executable, str(_MAKER), dataset.data_dir], check=True)
